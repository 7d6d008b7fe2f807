package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/store"
)

// wake tells followers that the log has grown: those of this process at once, those of others by a message that the
// append's script publishes.
type wake struct {
	*Backend

	mu        sync.Mutex
	followers map[chan struct{}]bool
	closed    bool
	give      context.CancelFunc // ends listen; nil: it does not run
	running   sync.WaitGroup
}

func newWake(b *Backend) *wake {
	return &wake{Backend: b, followers: map[chan struct{}]bool{}}
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
	if w.give == nil {
		var life context.Context
		life, w.give = context.WithCancel(context.Background())
		w.running.Go(func() { w.listen(life) })
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

// listenPatience is how long nothing may come before the connection is tested.
const listenPatience = 5 * time.Second

// listen wakes the followers at every message, and each time that it has (again) begun to listen, since some may have
// been missed before. The subscription connects again by itself.
func (w *wake) listen(ctx context.Context) {
	subscription := w.reads.Subscribe(ctx, w.keys.channel)
	messages := subscription.ChannelWithSubscriptions(redis.WithChannelHealthCheckInterval(listenPatience))
	stop := context.AfterFunc(ctx, func() { _ = subscription.Close() })
	defer stop()
	for range messages {
		w.rouse()
	}
}
