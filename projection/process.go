package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// feed is the processor of one generation's subscription: it hands each batch to the worker of its partition.
type feed struct {
	projection *Projection
	generation Generation
	size       int             // how many events are tried in one unit, at most
	stop       <-chan struct{} // closed when the generation is no longer run here
	needs      []*Projection   // those that it depends on

	mu    sync.Mutex
	lanes map[int]*lane // by partition
}

// lane is what a partition's goroutine keeps between batches.
type lane struct {
	worker  *worker
	gate    gate
	epoch   int64          // of the ownership under which the worker has learned what it knows
	chunk   int            // how many events are tried in one unit
	allowed event.Position // up to which all that it depends on have come
}

func (f *feed) lane(partition int) (*lane, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.lanes[partition]; l != nil {
		return l, nil
	}
	p := f.projection
	w, err := p.newWorker(f.generation, partition, p.store, false)
	if err != nil {
		return nil, err
	}
	l := &lane{
		worker: w,
		gate:   gate{store: p.store, name: gateName(p.name, f.generation, partition)},
		chunk:  f.size,
	}
	f.lanes[partition] = l
	return l, nil
}

// Exact implements subscription.Exact: what went well before a failure is kept.
func (f *feed) Exact() {}

// Process implements subscription.Processor.
func (f *feed) Process(ctx context.Context, b *subscription.Batch) error {
	l, err := f.lane(b.Partition)
	if err != nil {
		return err
	}
	if l.epoch != b.Epoch() { // others may have written since
		l.epoch, l.gate.seen = b.Epoch(), 0
		l.worker.forget()
	}
	for from := 0; from < len(b.Events); {
		to := min(from+l.chunk, len(b.Events))
		allowed, err := f.bound(ctx, l, b.Events[from:to])
		if err != nil {
			return err
		}
		to = from + allowed
		to, err = f.handle(ctx, l, b, from, to)
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// handle handles some events, and tells how far it came.
func (f *feed) handle(ctx context.Context, l *lane, b *subscription.Batch, from, to int) (int, error) {
	if turn := f.projection.options.Exclusive; turn != nil {
		turn.Lock()
		defer turn.Unlock()
	}
	if f.projection.plain() {
		return to, l.plain(ctx, b, from, to)
	}
	return f.step(ctx, l, b, from, to)
}

// plain handles events one by one, at least once.
func (l *lane) plain(ctx context.Context, b *subscription.Batch, from, to int) error {
	for i := from; i < to; i++ {
		if _, err := l.worker.handle(ctx, b.Events[i:i+1]); err != nil {
			return err
		}
		b.Done(i + 1)
	}
	return nil
}

// step brings some events from from on, at most up to to, into the read model, and tells how far it came.
func (f *feed) step(ctx context.Context, l *lane, b *subscription.Batch, from, to int) (int, error) {
	for conflicts := 0; ; {
		if err := l.gate.enter(ctx, f.stop); err != nil {
			return from, f.end(ctx, err)
		}
		failed, size, err := l.commit(ctx, f.projection, b, from, to)
		if err == nil {
			l.grow(f, to-from, size)
			return to, nil
		}
		l.worker.forget()
		switch {
		case errors.Is(err, errSplit) && to-from > 1:
			l.chunk = (to - from) / 2
			to = from + l.chunk
		case l.gate.refused(err):
		case failed > 0: // keep what went well, so that nobody handles it one by one
			if _, _, prefix := l.commit(ctx, f.projection, b, from, from+failed); prefix != nil {
				l.worker.forget()
				return from, prefix
			}
			return from, err
		case l.worker.isConflict(err) && conflicts < maxTries:
			conflicts++
		default:
			return from, err
		}
	}
}

// grow makes the next unit larger when this one was far from the limits.
func (l *lane) grow(f *feed, events, ops int) {
	if events == l.chunk && ops < f.projection.store.Limits().MaxBatchOps/3 {
		l.chunk = min(l.chunk*2, f.size)
	}
}

// end waits for the end of a generation that was dropped: what it has not handled is no failure, and nothing to park.
func (f *feed) end(ctx context.Context, err error) error {
	if errors.Is(err, ErrGone) {
		select {
		case <-f.stop:
		case <-ctx.Done():
		}
		return errors.Join(err, context.Canceled)
	}
	return err
}

// commit handles events and writes what comes of them together with the checkpoint. When a handler fails, it tells how
// many events went well before.
func (l *lane) commit(ctx context.Context, p *Projection, b *subscription.Batch, from, to int) (failed, size int, err error) {
	unit := func(ctx context.Context) error {
		var err error
		if failed, err = l.worker.handle(ctx, b.Events[from:to]); err != nil {
			return err
		}
		ops, err := l.worker.flush()
		if err != nil {
			if to-from == 1 {
				return l.worker.failure(&b.Events[from], err)
			}
			return err
		}
		size = len(ops)
		return b.CommitFirst(ctx, to, append(ops, l.gate.check())...)
	}
	if p.options.Transaction {
		err = p.store.Transact(ctx, func(ctx context.Context) error {
			failed = 0
			return unit(ctx)
		})
	} else {
		err = unit(ctx)
	}
	if err != nil {
		return failed, 0, err
	}
	l.worker.settle()
	return 0, size, nil
}

// bound waits until those that the projection depends on have handled the first event, and tells how many of the events
// they have handled.
func (f *feed) bound(ctx context.Context, l *lane, events []event.Recorded) (int, error) {
	if len(f.needs) == 0 {
		return len(events), nil
	}
	for first, last := events[0].Position, events[len(events)-1].Position; l.allowed < last; {
		allowed, err := f.reached(ctx)
		if err != nil {
			return 0, err
		}
		l.allowed = allowed
		if allowed >= first {
			break
		}
		if err := wait(ctx, f.stop, gatePoll); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(events) && events[n].Position <= l.allowed {
		n++
	}
	return n, nil
}

// reached gives the position up to which all that it depends on have come.
func (f *feed) reached(ctx context.Context) (event.Position, error) {
	var reached event.Position
	for i, need := range f.needs {
		c, err := need.current(ctx)
		if err != nil {
			return 0, err
		}
		position, _, err := positions(ctx, need.store, need.name, c.Live)
		if err != nil {
			return 0, err
		}
		if i == 0 || position < reached {
			reached = position
		}
	}
	return reached, nil
}

// positions tells how far a generation has come: all of it, and the partition that is farthest.
func positions(ctx context.Context, s *store.Store, name string, g Generation) (all, farthest event.Position, err error) {
	if g.Mode == Inline {
		mark, _, err := loadMark(ctx, s, name, g)
		return mark.Position, mark.Position, err
	}
	status, err := subscription.NewControl(s).Status(ctx, g.subscription(name))
	if errors.Is(err, store.ErrNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("projection %s: %w", name, err)
	}
	if len(status.Partitions) < g.Partitions {
		for _, p := range status.Partitions {
			farthest = max(farthest, p.Position)
		}
		return 0, farthest, nil
	}
	all = status.Partitions[0].Position
	for _, p := range status.Partitions {
		all, farthest = min(all, p.Position), max(farthest, p.Position)
	}
	return all, farthest, nil
}
