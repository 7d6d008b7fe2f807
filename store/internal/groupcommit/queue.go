package groupcommit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Options are the settings of a Queue. Zero fields mean the defaults.
type Options struct {
	// Depth is how many batches may be unfinished at once. Defaults to 1.
	Depth int

	// MaxRequests, MaxEvents and MaxBytes bound a batch; a larger single request goes alone. Default to 512 requests,
	// 4,096 events, 8 MiB.
	MaxRequests, MaxEvents, MaxBytes int

	// LingerRequests is the size up to which a batch waits for the requests that usually come, and the number of events
	// below which a batch waits for the one in flight: what a batch costs however small it is, a disk flush above all,
	// outweighs the gain of a pipeline. Defaults to 64.
	LingerRequests int

	// MaxLinger bounds the wait for requests; it is also at most a quarter of the last batch's time. Defaults to 300 µs.
	MaxLinger time.Duration

	// Independent keeps requests whose outcomes depend on each other out of one batch, for drivers that check a whole
	// batch before they write it. Leave it false if the driver checks and writes one request after the other.
	Independent bool

	// ByStream gives the requests of a batch in the order of their streams' names, for drivers whose database keeps an
	// index of them; see order.go.
	ByStream bool
}

func (o Options) withDefaults() Options {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.Depth, 1)
	set(&o.MaxRequests, 512)
	set(&o.MaxEvents, 4096)
	set(&o.MaxBytes, 8<<20)
	set(&o.LingerRequests, 64)
	if o.MaxLinger == 0 {
		o.MaxLinger = 300 * time.Microsecond
	}
	return o
}

// Queue collects appends and gives them out in batches. Submit is for any number of goroutines; Next and Finish are for
// the driver's one writer (and, in a pipeline, its reader).
//
// Algorithm (measured in the project's performance notes): when nothing is in flight, a small batch waits a moment for
// the requests that the last round showed to be coming (adaptive linger), else a closed loop of callers splits into two
// half batches for ever. When a batch is in flight, the next goes out once it is at least as large, and worth its costs.
type Queue struct {
	options Options

	mu      sync.Mutex
	ready   *sync.Cond // the writer waits here
	left    *sync.Cond // cancelled callers wait here for Release
	pending []*Request
	events  int // of pending
	closed  bool

	alone            bool // a caller appends without the queue; see TryAlone
	inflight         int  // batches
	inflightRequests int
	waiting          bool // the writer waits until there are so many pending requests, with so many events
	need, needEvents int
	target           int // how many requests the next batch is expected to reach
	lastTook         time.Duration
	timer            *time.Timer
	deadline         time.Time
	pool             sync.Pool
}

// New gives an empty queue.
func New(o Options) *Queue {
	q := &Queue{options: o.withDefaults(), need: 1, target: 1}
	q.ready = sync.NewCond(&q.mu)
	q.left = sync.NewCond(&q.mu)
	q.pool.New = func() any { return &Request{done: make(chan answer, 1)} }
	// The lock orders the signal after the writer's Wait; without it the wake-up could be lost.
	q.timer = time.AfterFunc(time.Hour, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.ready.Signal()
	})
	q.timer.Stop()
	return q
}

// Submit queues a commit and waits for its answer. When ctx ends first, a request that is not in a batch yet is
// withdrawn: nothing was stored. One that is being written goes on; the error then says that the outcome is unknown.
func (q *Queue) Submit(ctx context.Context, c store.Commit) (store.Result, error) {
	r := q.pool.Get().(*Request)
	r.Commit, r.Versions, r.events, r.bytes, r.state, r.answered = c, nil, 0, 0, queued, false
	for i := range c.Appends {
		r.events += len(c.Appends[i].Events)
		for j := range c.Appends[i].Events {
			r.bytes += len(c.Appends[i].Events[j].Data)
		}
	}
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return store.Result{}, store.ErrClosed
	}
	if q.alone {
		q.target = max(q.target, 2) // two callers at once: their next ones are worth waiting for
	}
	q.pending = append(q.pending, r)
	q.events += r.events
	wake := q.waiting && len(q.pending) >= q.need && q.events >= q.needEvents
	q.mu.Unlock()
	if wake {
		q.ready.Signal()
	}
	select {
	case a := <-r.done:
		return q.finished(r, a)
	case <-ctx.Done():
		return q.leave(ctx, r)
	}
}

func (q *Queue) finished(r *Request, a answer) (store.Result, error) {
	r.Commit, r.answer = store.Commit{}, answer{}
	q.pool.Put(r)
	return a.result, a.err
}

// leave ends a Submit whose context has ended.
func (q *Queue) leave(ctx context.Context, r *Request) (store.Result, error) {
	q.mu.Lock()
	for r.state == held {
		q.left.Wait()
	}
	if r.state == answering {
		q.mu.Unlock()
		return q.finished(r, <-r.done)
	}
	withdrawn := r.state == queued
	r.state = abandoned
	q.mu.Unlock()
	if withdrawn {
		return store.Result{}, ctx.Err()
	}
	return store.Result{}, Left(ctx)
}

// Left is the error of a caller whose context has ended while its append was being written.
func Left(ctx context.Context) error {
	return fmt.Errorf("%w while the append was being committed: whether it was stored is unknown, append again with the same ids to find out", ctx.Err())
}

// Next waits for a batch that is worth sending and takes it out of the queue. It gives false when the queue is closed
// and empty.
func (q *Queue) Next() (*Batch, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		q.await()
		if len(q.pending) == 0 {
			return nil, false
		}
		if b := q.form(); len(b.Requests) > 0 {
			q.inflight++
			q.inflightRequests += b.initial
			return b, true
		}
	}
}

// await returns when a batch should be formed, or when the queue is closed.
func (q *Queue) await() {
	q.deadline = time.Time{}
	for {
		switch {
		case q.closed && (q.inflight == 0 && !q.alone || len(q.pending) > 0 && q.inflight < q.options.Depth):
			return
		case len(q.pending) == 0 || q.inflight >= q.options.Depth:
			q.wait(1, 0)
		case q.inflight > 0 && (len(q.pending) < q.inflightRequests || q.events < q.options.LingerRequests):
			q.wait(q.inflightRequests, q.options.LingerRequests)
		case q.inflight == 0 && q.lingers():
			q.wait(min(q.target, q.options.LingerRequests), 0)
		default:
			return
		}
	}
}

// lingers reports whether to wait for more requests, and starts the timer that ends the wait.
func (q *Queue) lingers() bool {
	if len(q.pending) >= min(q.target, q.options.LingerRequests) {
		return false
	}
	now := time.Now()
	if q.deadline.IsZero() {
		d := min(q.lastTook/4, q.options.MaxLinger)
		q.deadline = now.Add(d)
		q.timer.Reset(d)
	} else if !now.Before(q.deadline) {
		q.target = len(q.pending) // they did not come: do not wait for them again
		return false
	}
	return true
}

func (q *Queue) wait(need, events int) {
	q.need, q.needEvents = need, events
	if q.inflight >= q.options.Depth {
		q.need = 1 << 30 // only Finish can help
	}
	q.waiting = true
	q.ready.Wait()
	q.waiting = false
}

// form takes a batch from the head of the queue. Abandoned requests disappear here.
func (q *Queue) form() *Batch {
	f := former{options: q.options}
	if q.options.Independent {
		f.streams, f.deferred = make(map[event.StreamID]bool, len(q.pending)), make(map[event.StreamID]bool)
	}
	rest := q.pending[:0]
	for i, r := range q.pending {
		if f.full() {
			rest = append(rest, q.pending[i:]...)
			break
		}
		if r.state == abandoned {
			continue
		}
		if f.take(r) {
			r.state = held
		} else {
			rest = append(rest, r)
		}
	}
	clear(q.pending[len(rest):])
	q.pending = rest
	q.count()
	if q.options.ByStream {
		orderByStream(f.batch)
	}
	return &Batch{Requests: f.batch, Events: f.events, queue: q, began: time.Now(), initial: len(f.batch)}
}

// Finish ends a batch and gives the answers out. Requests that were neither resolved nor failed, and whose callers
// still wait, go back to the head of the queue in their order. The driver must not touch the batch afterwards: a
// request whose caller has its answer is used again.
func (q *Queue) Finish(b *Batch) {
	q.mu.Lock()
	var again []*Request
	answered := b.Requests[:0]
	for _, r := range b.Requests {
		switch {
		case r.state == abandoned:
		case r.answered:
			r.state = answering
			answered = append(answered, r)
		default:
			r.state = queued
			again = append(again, r)
		}
	}
	if len(again) > 0 {
		q.pending = append(again, q.pending...)
		q.count()
	}
	q.inflight--
	q.inflightRequests -= b.initial
	q.lastTook = time.Since(b.began)
	q.target = max(q.target*7/8, len(q.pending)+b.initial-len(again))
	q.mu.Unlock()
	q.left.Broadcast()
	for _, r := range answered {
		r.done <- r.answer // buffered: never blocks
	}
	q.ready.Signal()
}

// count counts the pending events anew.
func (q *Queue) count() {
	q.events = 0
	for _, r := range q.pending {
		q.events += r.events
	}
}

// Close refuses further requests. Next gives out what is queued, then false.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ready.Broadcast()
	q.timer.Stop()
}
