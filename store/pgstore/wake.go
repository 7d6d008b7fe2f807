package pgstore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// wake tells followers that the log has grown: those of this process at once, those of others by NOTIFY, sent after
// the commit (inside it, it would take a lock of the whole server) and on a connection of the pool.
type wake struct {
	*Backend

	mu        sync.Mutex
	followers map[chan struct{}]bool
	closed    bool
	newest    event.Position       // of what was committed here
	tell      chan struct{}        // capacity 1: newest has grown
	notifying bool                 // notify runs
	listening bool                 // listen runs
	gives     []context.CancelFunc // end the goroutines
	running   sync.WaitGroup
}

// notifyPause is the least time between two notifications: at full speed they would cost more than they bring.
const notifyPause = 5 * time.Millisecond

func newWake(b *Backend) *wake {
	return &wake{Backend: b, followers: map[chan struct{}]bool{}, tell: make(chan struct{}, 1)}
}

// run starts a goroutine that close ends and waits for. The caller holds mu.
func (w *wake) run(started *bool, fn func(ctx context.Context)) {
	if *started {
		return
	}
	*started = true
	ctx, give := context.WithCancel(context.Background())
	w.gives = append(w.gives, give)
	w.running.Go(func() { fn(ctx) })
}

// Wake implements store.Waker. One connection listens for all followers.
func (b *Backend) Wake(ctx context.Context) (<-chan struct{}, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	w := b.wake
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, store.ErrClosed
	}
	w.followers[ch] = true
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dismiss(ch)
	})
	w.run(&w.listening, w.listen)
	return ch, nil
}

// dismiss closes a follower's channel, once. The caller holds mu.
func (w *wake) dismiss(ch chan struct{}) {
	if w.followers[ch] {
		delete(w.followers, ch)
		close(ch)
	}
}

// rouse wakes the followers of this process.
func (w *wake) rouse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.followers {
		select {
		case ch <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// grown is called after a commit.
func (w *wake) grown(last event.Position) {
	w.rouse()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newest = max(w.newest, last)
	if w.closed {
		return
	}
	w.run(&w.notifying, w.notify)
	select {
	case w.tell <- struct{}{}:
	default:
	}
}

// close ends the goroutines; the last commit is still told.
func (w *wake) close() {
	w.mu.Lock()
	w.closed = true
	for ch := range w.followers {
		w.dismiss(ch)
	}
	for _, give := range w.gives {
		give()
	}
	w.mu.Unlock()
	w.running.Wait()
}

// notify sends notifications, one at a time; what is committed meanwhile shares the next one.
func (w *wake) notify(ctx context.Context) {
	var told event.Position
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			w.send(last, told)
			return
		case <-w.tell:
		}
		told = w.send(ctx, told)
		pause.Reset(notifyPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

// send notifies of the newest commit. A failure is not an error: followers poll now and then, and the next one tells.
func (w *wake) send(ctx context.Context, told event.Position) event.Position {
	w.mu.Lock()
	newest := w.newest
	w.mu.Unlock()
	if newest == told {
		return told
	}
	err := w.withPool(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sqlNotify, w.options.Schema, strconv.FormatInt(int64(newest), 10))
		return err
	})
	if err != nil {
		return told
	}
	return newest
}

// listen wakes the followers at every notification, and each time that it has (again) begun to listen, since some may
// have been missed before.
func (w *wake) listen(ctx context.Context) {
	for try := 0; ctx.Err() == nil; try++ {
		conn, err := w.dial(ctx)
		if err == nil {
			_, err = conn.Exec(ctx, w.sql.in(sqlListen))
			for err == nil {
				try = 0
				w.rouse()
				_, err = conn.WaitForNotification(ctx)
			}
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = conn.Close(closing)
			cancel()
		}
		timer := time.NewTimer(backoff(try))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}
