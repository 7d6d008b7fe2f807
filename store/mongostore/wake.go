package mongostore

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// wake tells followers that the log has grown: at once what this process appends, and what others append through a
// change stream, or by looking at the next position on servers that have none.
type wake struct {
	*Backend

	mu        sync.Mutex
	followers map[chan struct{}]bool
	closed    bool
	give      context.CancelFunc // ends the goroutine; nil: it does not run
	running   sync.WaitGroup
}

func newWake(b *Backend) *wake {
	return &wake{Backend: b, followers: map[chan struct{}]bool{}}
}

// wakeRetry is how long to wait before a broken change stream is opened again.
const wakeRetry = 500 * time.Millisecond

// Wake implements store.Waker. One goroutine watches for all followers; it runs from the first one until Close.
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
	if w.give == nil {
		watching, give := context.WithCancel(context.Background())
		w.give = give
		w.running.Go(func() { w.watch(watching) })
	}
	return ch, nil
}

// dismiss closes a follower's channel, once. The caller holds mu.
func (w *wake) dismiss(ch chan struct{}) {
	if w.followers[ch] {
		delete(w.followers, ch)
		close(ch)
	}
}

// grown wakes the followers of this process.
func (w *wake) grown() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.followers {
		select {
		case ch <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

func (w *wake) close() {
	w.mu.Lock()
	w.closed = true
	for ch := range w.followers {
		w.dismiss(ch)
	}
	if w.give != nil {
		w.give()
	}
	w.mu.Unlock()
	w.running.Wait()
}

func (w *wake) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.followers) == 0
}

func (w *wake) watch(ctx context.Context) {
	interval := w.options.PollInterval
	if w.server.replicaSet {
		interval = wakeRetry
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var told event.Position
	for ctx.Err() == nil {
		if w.server.replicaSet {
			w.listen(ctx)
		} else if !w.idle() {
			told = w.poll(ctx, told)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// poll asks for the head, and tells when it has grown.
func (w *wake) poll(ctx context.Context, told event.Position) event.Position {
	head, err := w.Head(ctx)
	if err != nil || head <= told {
		return told
	}
	w.grown()
	return head
}

// listen follows the change stream until it breaks. Each time that it begins, some wake-ups may have been missed.
func (w *wake) listen(ctx context.Context) {
	pipeline := mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "operationType", Value: "insert"}}}},
		{{Key: "$project", Value: bson.D{{Key: "documentKey", Value: 1}}}},
	}
	changes, err := w.commits.Watch(ctx, pipeline, options.ChangeStream())
	if err != nil {
		return
	}
	defer func() { _ = changes.Close(context.WithoutCancel(ctx)) }()
	w.grown()
	for changes.Next(ctx) {
		w.grown()
	}
}
