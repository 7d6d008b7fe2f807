package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// batchTime is how long batches of a processor that does not commit should take at the most, so that the checkpoint can
// follow; and a quarter of it is little enough to try larger ones.
const batchTime = 100 * time.Millisecond

// errIncomplete: Process has returned nil without having handled all events.
var errIncomplete = errors.New("the processor returned no error, but said neither Done nor Commit of all events")

// handle works events off, in batches while all goes well, one at a time where a batch has failed.
func (w *worker) handle(ctx context.Context, stop <-chan struct{}, events []event.Recorded) error {
	for len(events) > 0 {
		if err := w.ready(ctx, stop); err != nil {
			return err
		}
		if events[0].Position <= w.position { // a commit had gone through after all
			events = events[1:]
			continue
		}
		if w.blocked[events[0].Stream] {
			waits, err := w.queueBehind(ctx, stop, &events[0])
			if err != nil {
				return err
			}
			if waits {
				events = events[1:]
				continue
			}
		}
		if err := w.o.Known.Check(&events[0]); err != nil {
			if err := w.setAside(ctx, stop, &events[0], err); err != nil {
				return err
			}
			events = events[1:]
			continue
		}
		n := w.batch(events)
		done, cause, err := w.try(ctx, stop, events[:n])
		if err != nil {
			return err
		}
		events = events[done:]
		w.singles = max(0, w.singles-done)
		if cause == nil {
			continue
		}
		if n > 1 && !w.exact {
			w.singles = n - done
			continue
		}
		if err := w.insist(ctx, stop, &events[0], cause); err != nil {
			return err
		}
		events = events[1:]
		w.singles = max(0, w.singles-1)
	}
	return nil
}

// batch is how many of the events go into the next batch.
func (w *worker) batch(events []event.Recorded) int {
	if w.singles > 0 {
		return 1
	}
	n := min(len(events), w.size)
	if len(w.blocked) == 0 && w.o.Known == nil {
		return n
	}
	for i := 1; i < n; i++ {
		if w.blocked[events[i].Stream] || w.o.Known.Check(&events[i]) != nil {
			return i
		}
	}
	return n
}

// try hands events to the processor once. done is how many of them are handled now, cause why the others are not. Where
// the backend or the end of the lease is to blame there is neither a cause nor all done: then they are tried again, or
// err says why not.
func (w *worker) try(ctx context.Context, stop <-chan struct{}, events []event.Recorded) (done int, cause, err error) {
	begun := time.Now()
	b := &Batch{Partition: w.partition, Events: events, fence: w.fence}
	w.fence.begin()
	cause = w.call(ctx, b)
	if cause == nil {
		w.fence.settle()
		last := len(events)
		w.resize(len(events), time.Since(begun), b.committed)
		w.advance(ctx, events[last-1].Position, last)
		return last, nil, nil
	}
	if !b.committed && b.done > 0 {
		w.note(events[b.done-1].Position, b.done)
	}
	if ctx.Err() != nil {
		if w.expired() {
			return 0, nil, errLost
		}
		return 0, nil, errStopping // the grace is over
	}
	calm, err := w.reloadAfter(ctx, stop, cause)
	if err != nil {
		return 0, nil, err
	}
	w.saveIfDue(ctx)
	for done < len(events) && events[done].Position <= w.position {
		done++
	}
	if !calm || done == len(events) {
		cause = nil
	}
	return done, cause, nil
}

// reloadAfter looks where the checkpoint is after a failed batch. calm is set when neither the backend nor a write of
// the checkpoint from elsewhere explains the failure.
func (w *worker) reloadAfter(ctx context.Context, stop <-chan struct{}, cause error) (calm bool, err error) {
	calm = !w.fence.touched || !errors.Is(cause, ErrFenced)
	tries := 0
	var reset bool
	err = w.persevere(ctx, stop, func() (err error) {
		tries++
		reset, err = w.fence.load(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	if tries > 1 && errors.Is(cause, store.ErrUnavailable) {
		calm = false
	}
	return calm, w.settle(reset)
}

// call is one call of the processor.
func (w *worker) call(ctx context.Context, b *Batch) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("subscription "+w.name, value)
		}
		b.fence = nil
	}()
	if err = w.processor.Process(ctx, b); err == nil && !b.committed && b.done < len(b.Events) {
		err = fmt.Errorf("%w: %d of %d", errIncomplete, b.done, len(b.Events))
	}
	return err
}

// resize fits the size of batches to how long they take.
func (w *worker) resize(events int, took time.Duration, committed bool) {
	switch {
	case took > w.o.CheckpointInterval:
		w.size = max(1, events/2)
	case took > batchTime && !committed && events > w.o.CheckpointEvery:
		w.size = max(w.o.CheckpointEvery, events/2)
	case (committed || took < batchTime/4) && events >= w.size:
		w.size = min(w.o.BatchEvents, w.size*2)
	}
}

// insist tries an event again, with pauses, until it is handled or the policy says what becomes of it. It has failed
// once already.
func (w *worker) insist(ctx context.Context, stop <-chan struct{}, e *event.Recorded, cause error) error {
	first := w.o.Now()
	defer w.report.recovered()
	for attempts := 1; ; attempts++ {
		if skew, _ := schema.SkewOf(cause); skew != schema.NoSkew {
			return w.setAside(ctx, stop, e, cause)
		}
		w.o.OnError(fmt.Errorf("subscription %s: partition %d: attempt %d at %s in stream %s at position %d: %w",
			w.name, w.partition, attempts, e.Type, e.Stream, e.Position, cause))
		if attempts >= w.o.Retry.Attempts {
			return w.giveUp(ctx, stop, e, failure{cause: cause, attempts: attempts, first: first, last: w.o.Now()})
		}
		w.report.retrying(attempts, cause)
		if err := w.rest(ctx, stop, attempts); err != nil {
			return err
		}
		var done int
		for cause = nil; cause == nil; {
			if err := w.ready(ctx, stop); err != nil {
				return err
			}
			var err error
			if done, cause, err = w.try(ctx, stop, []event.Recorded{*e}); err != nil {
				return err
			}
			if done == 1 {
				return nil
			}
		}
	}
}

// rest is the pause before the next attempt. A request from outside to look at the checkpoint is answered meanwhile.
func (w *worker) rest(ctx context.Context, stop <-chan struct{}, attempts int) error {
	timer := time.NewTimer(backoff(w.o.Retry.Initial, w.o.Retry.Max, attempts))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-w.lane.wake:
			if w.recheck.Load() {
				if err := w.ready(ctx, stop); err != nil {
					return err
				}
			}
		case <-stop:
			return errStopping
		case <-ctx.Done():
			return errLost
		}
	}
}

// failure is why an event was given up.
type failure struct {
	cause       error
	attempts    int
	first, last time.Time
	reason      deadletter.Reason
}

// giveUp does what the policy says with an event that has failed for good.
func (w *worker) giveUp(ctx context.Context, stop <-chan struct{}, e *event.Recorded, f failure) error {
	if w.o.Failure == FailureStop {
		return w.fault(e, f)
	}
	return w.park(ctx, stop, e, f)
}

func (w *worker) fault(e *event.Recorded, f failure) error {
	return &FaultError{
		Name: w.name, Partition: w.partition, Position: e.Position, Stream: e.Stream, Type: e.Type,
		Attempts: f.attempts, Cause: f.cause,
	}
}
