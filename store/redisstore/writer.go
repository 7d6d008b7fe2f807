package redisstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// writer sends the batches of the queue. One goroutine takes them out, one for each batch on its way sends it.
type writer struct {
	*Backend
	queue *groupcommit.Queue

	start sync.Once
	give  context.CancelFunc // gives up what is on its way
	done  chan struct{}      // closed when the goroutines have ended

	lostMu   sync.Mutex
	answered bool      // the server was reached once
	lostAt   time.Time // when the server was lost; zero: it is there, or never was
}

// Bounds of a batch: the server does nothing else while it appends one, which takes some 4 µs an event. A single
// larger commit goes alone.
const (
	batchesInFlight = 2
	batchEvents     = 1024
	batchBytes      = 2 << 20
	lingerRequests  = 16 // half batches keep server and process busy at the same time; measured, 64 writers: 152 k appends/s, 109 k with 64
)

func newWriter(b *Backend) *writer {
	return &writer{
		Backend: b,
		queue: groupcommit.New(groupcommit.Options{
			Depth: batchesInFlight, MaxRequests: batchEvents, MaxEvents: batchEvents, MaxBytes: batchBytes,
			LingerRequests: lingerRequests,
		}),
		done: make(chan struct{}),
	}
}

// submit appends through the group. The goroutines start with the first append.
func (w *writer) submit(ctx context.Context, c store.Commit) (store.Result, error) {
	w.start.Do(func() {
		var life context.Context
		life, w.give = context.WithCancel(context.Background())
		go w.run(life)
	})
	return w.queue.Submit(ctx, c)
}

// close lets what is queued finish, for some time, and ends the goroutines.
func (w *writer) close(patience time.Duration) {
	w.queue.Close()
	started := true
	w.start.Do(func() { started = false })
	if !started {
		return
	}
	timer := time.AfterFunc(patience, w.give)
	defer timer.Stop()
	<-w.done
	w.give()
}

func (w *writer) run(ctx context.Context) {
	defer close(w.done)
	var sending sync.WaitGroup
	defer sending.Wait()
	for {
		from, ok := w.queue.Next()
		if !ok {
			return
		}
		sending.Go(func() { w.send(ctx, from) })
	}
}

// send appends a batch. A server that was lost before it got the batch is waited for.
func (w *writer) send(ctx context.Context, from *groupcommit.Batch) {
	b := w.prepare(from)
	b.Release()
	keys, args := b.plan.keys(), b.arguments()
	for try := 0; ; try++ {
		r, err := w.Backend.run(ctx, w.writes, &w.scripts.append, keys, args...)
		switch {
		case err == nil:
			w.found()
			w.conclude(ctx, b, r)
			return
		case !neverSent(err):
			w.recover(ctx, b, err)
			return
		case !w.wait(ctx, try, err):
			b.failAll(w.explain(ctx, fmt.Errorf("nothing was stored: %w", err)))
			w.queue.Finish(b.Batch)
			return
		}
	}
}

// found notes that the server answers.
func (w *writer) found() {
	w.lostMu.Lock()
	defer w.lostMu.Unlock()
	w.answered, w.lostAt = true, time.Time{}
}

// wait waits before the next attempt to reach the server; false: do not try again.
func (w *writer) wait(ctx context.Context, try int, cause error) bool {
	if !isTransient(cause) {
		return false
	}
	now := time.Now()
	w.lostMu.Lock()
	if w.lostAt.IsZero() {
		w.lostAt = now
	}
	left := w.options.ReconnectFor - now.Sub(w.lostAt)
	if !w.answered {
		left = 0
	}
	w.lostMu.Unlock()
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(min(left, backoff(try)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.closing:
		return false
	case <-ctx.Done():
		return false
	}
}

// backoff is 10 ms, 20, 40… up to a quarter of a second.
func backoff(try int) time.Duration {
	return min(10*time.Millisecond<<min(try, 10), 250*time.Millisecond)
}
