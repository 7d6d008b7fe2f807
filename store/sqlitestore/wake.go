package sqlitestore

import (
	"context"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// watchEvery is how often other processes' commits are looked for, while somebody waits for them. A look reads one
// number from shared memory.
const watchEvery = 25 * time.Millisecond

// wakers tells followers that the log has grown: at once after a commit of this process, within watchEvery after one of
// another.
type wakers struct {
	backend *Backend

	mu       sync.Mutex
	channels map[chan struct{}]bool
	woken    event.Position // the head that the last wake-up was for
	watching bool
	closed   bool
	watcher  sync.WaitGroup // the goroutine that looks for other processes' commits
	stop     context.CancelFunc
}

// Wake implements store.Waker. Appends of other processes are found by asking the file every 25 ms.
func (b *Backend) Wake(ctx context.Context) (<-chan struct{}, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	return b.wakers.add(ctx)
}

func (k *wakers) add(ctx context.Context) (<-chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, store.ErrClosed
	}
	if k.channels == nil {
		k.channels = map[chan struct{}]bool{}
	}
	ch := make(chan struct{}, 1)
	k.channels[ch] = true
	if !k.watching {
		k.watching = true
		var watch context.Context
		watch, k.stop = context.WithCancel(context.Background())
		k.watcher.Go(func() { k.watch(watch) })
	}
	context.AfterFunc(ctx, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.dismiss(ch)
	})
	return ch, nil
}

// dismiss closes a follower's channel, once. The caller holds mu.
func (k *wakers) dismiss(ch chan struct{}) {
	if k.channels[ch] {
		delete(k.channels, ch)
		close(ch)
	}
}

func (k *wakers) wake(head event.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.woken = head
	for ch := range k.channels {
		select {
		case ch <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// close dismisses all followers and waits for the watcher.
func (k *wakers) close() {
	k.mu.Lock()
	k.closed = true
	for ch := range k.channels {
		k.dismiss(ch)
	}
	if k.stop != nil {
		k.stop()
	}
	k.mu.Unlock()
	k.watcher.Wait()
}

// watch wakes the followers when the log has grown, until none is left. It keeps a connection of its own: the data
// version tells of others' commits only from one look of a connection to its next.
func (k *wakers) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var c *conn
	defer func() {
		if c != nil {
			_ = c.Close() // it only read
		}
	}()
	var seen int64
	var head event.Position
	for {
		if c == nil {
			c, _ = k.backend.openReader(ctx) // a file that cannot be opened now may be later; reads report the error
			seen, head = unknown, unknown
		}
		if c != nil {
			version, newHead, err := look(c, seen, head)
			// The first look cannot tell what is new, so it wakes in any case.
			if err == nil && (head == unknown || newHead != head && k.behind(newHead)) {
				k.wake(newHead)
			}
			if err == nil {
				seen, head = version, newHead
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if k.idle() {
			return
		}
	}
}

// look gives the data version and, if that has changed, the head. Commits that append nothing do not count: followers
// write records themselves, and would wake each other for ever.
func look(c *conn, seen int64, head event.Position) (version int64, newHead event.Position, err error) {
	version, err = c.number(sqlDataVersion)
	if err != nil || version == seen {
		return version, head, err
	}
	number, err := c.number(sqlHead)
	return version, event.Position(number), err
}

// behind reports whether the last wake-up was for a lower head: this process's own commits have woken already.
func (k *wakers) behind(head event.Position) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return head > k.woken
}

// idle reports whether nobody follows any more, and then ends the watch.
func (k *wakers) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.channels) > 0 {
		return false
	}
	k.watching = false
	return true
}
