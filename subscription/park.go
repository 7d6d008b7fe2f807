package subscription

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// park makes an event a dead letter and moves the checkpoint behind it, in one unit.
func (w *worker) park(ctx context.Context, stop <-chan struct{}, e *event.Recorded, f failure) error {
	letter := w.letter(e)
	if letter.Reason = f.reason; f.reason != "" {
		letter.Sequence = string(e.Stream)
	}
	letter.Error, letter.Attempts = f.cause.Error(), f.attempts
	letter.FirstFailedAt, letter.LastFailedAt, letter.State = f.first, f.last, deadletter.StateParked
	err := w.enclose(ctx, stop, letter, nil)
	if errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrTooLarge) {
		return w.fault(e, failure{cause: errors.Join(f.cause, err), attempts: f.attempts})
	}
	if err != nil {
		return err
	}
	if letter.Sequence != "" {
		w.blocked[e.Stream] = true
	}
	w.o.OnError(fmt.Errorf("subscription %s: partition %d: parked %s in stream %s at position %d after %d attempts: %w",
		w.name, w.partition, e.Type, e.Stream, e.Position, f.attempts, f.cause))
	return nil
}

// queueBehind lets an event of a blocked stream wait behind the dead letters of that stream. waits is false where there
// are none any more, so that it is handled as any other.
func (w *worker) queueBehind(ctx context.Context, stop <-chan struct{}, e *event.Recorded) (waits bool, err error) {
	letter := w.letter(e)
	letter.Sequence = string(e.Stream)
	letter.State = deadletter.StateWaiting
	letter.FirstFailedAt = w.o.Now()
	letter.LastFailedAt = letter.FirstFailedAt
	free := false
	err = w.enclose(ctx, stop, letter, func() (bool, error) {
		blocked, err := w.o.DeadLetters.Blocked(ctx, w.o.Source, string(e.Stream))
		free = err == nil && !blocked
		return free, err
	})
	if free {
		delete(w.blocked, e.Stream)
	}
	return !free, err
}

func (w *worker) letter(e *event.Recorded) deadletter.Letter {
	copied := *e // the slice that it stands in is filled again
	letter := deadletter.Letter{Source: w.o.Source, Event: &copied}
	if w.o.Failure == FailureParkStream {
		letter.Sequence = string(e.Stream)
	}
	return letter
}

// enclose writes a letter together with the checkpoint behind its event. Where the letters of the stream change
// meanwhile it asks again; before each try unless is asked, and ends it by true.
func (w *worker) enclose(ctx context.Context, stop <-chan struct{}, letter deadletter.Letter, unless func() (bool, error)) error {
	position := letter.Event.Position
	moved := false
	err := w.persevere(ctx, stop, func() error {
		for {
			if unless != nil {
				if leave, err := unless(); leave || err != nil {
					return err
				}
			}
			if w.fence.uncertain {
				reset, err := w.fence.load(ctx)
				if err != nil {
					return err
				}
				if moved = reset; moved || w.fence.Position >= position {
					return nil
				}
			}
			ops, err := w.o.DeadLetters.Park(ctx, letter)
			if err != nil {
				return err
			}
			err = w.fence.write(ctx, position, ops...)
			if err == nil || !errors.Is(err, store.ErrConflict) {
				return err
			}
			// The letters have changed, or the checkpoint: the next round sees which.
		}
	})
	if err == nil && (w.fence.Position >= position || moved) {
		return w.settled(moved)
	}
	return err
}

func (w *worker) settled(moved bool) error {
	err := w.settle(moved)
	if err == nil {
		w.since = 0
	}
	return err
}

// retryLetters handles the dead letters whose retry was asked for, each by itself. They are older than the checkpoint,
// which stays where it is.
func (w *worker) retryLetters(ctx context.Context, stop <-chan struct{}) error {
	if !w.letters.Swap(false) {
		return nil
	}
	for letter, err := range w.o.DeadLetters.Requested(ctx, w.o.Source) {
		if err != nil {
			w.o.OnError(fmt.Errorf("subscription %s: %w", w.name, err))
			return nil // it is looked for again
		}
		if letter.Event == nil || PartitionOf(letter.Event.Stream, w.o.Partitions) != w.partition {
			continue
		}
		if err := w.ready(ctx, stop); err != nil {
			return err
		}
		w.retryLetter(ctx, letter)
	}
	return nil
}

// retryLetter hands one to the processor. What the backend or a change of the letter prevents is left for the next time.
func (w *worker) retryLetter(ctx context.Context, letter deadletter.Letter) {
	ops, err := w.o.DeadLetters.Resolved(ctx, letter)
	if err != nil {
		w.o.OnError(fmt.Errorf("subscription %s: %w", w.name, err))
		return
	}
	b := &Batch{Partition: w.partition, Events: []event.Recorded{*letter.Event}, fence: w.fence, also: ops, stay: true}
	w.fence.begin()
	cause := w.call(ctx, b)
	if ctx.Err() != nil {
		return // ready tells why
	}
	switch {
	case cause == nil && b.committed:
		return
	case cause == nil:
		err = w.fence.check(ctx, ops)
	case errors.Is(cause, store.ErrConflict) && w.fence.touched, errors.Is(cause, ErrFenced), errors.Is(cause, store.ErrUnavailable):
		err = cause
	default:
		w.o.OnError(fmt.Errorf("subscription %s: retry of letter %s: %w", w.name, letter.ID, cause))
		if ops, err = w.o.DeadLetters.Failed(ctx, letter, cause); err == nil {
			err = w.fence.check(ctx, ops)
		}
	}
	if err != nil {
		w.recheck.Store(true)
		w.o.OnError(fmt.Errorf("subscription %s: retry of letter %s: %w", w.name, letter.ID, err))
	}
}
