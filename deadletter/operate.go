package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/store"
)

// What this file holds is for operators. Where somebody else changes a letter at the same time, it begins again.

// Retry asks the letter's source to handle it again. For a letter that waits behind another of its sequence it gives
// ErrBehind, with the id of the first one in the text.
func (l *Letters) Retry(ctx context.Context, id string) error {
	return l.operate(ctx, "retry", id, func(ctx context.Context, u unit, letter Letter) ([]store.Op, error) {
		return l.request(ctx, u, letter, func(*Letter) {})
	})
}

// Edit replaces the data of the letter's event or the body of its message, and asks for a retry as Retry does. The log is
// not changed.
func (l *Letters) Edit(ctx context.Context, id string, data []byte) error {
	return l.operate(ctx, "edit", id, func(ctx context.Context, u unit, letter Letter) ([]store.Op, error) {
		return l.request(ctx, u, letter, func(letter *Letter) {
			letter.Edited = true
			if letter.Event != nil {
				letter.Event.Data = slices.Clone(data)
			} else {
				letter.Message.Body = slices.Clone(data)
			}
		})
	})
}

func (l *Letters) request(ctx context.Context, u unit, letter Letter, edit func(*Letter)) ([]store.Op, error) {
	if letter.Sequence != "" {
		first, others, err := l.first(ctx, u.sequence, letter.ID)
		if err != nil {
			return nil, err
		}
		if others && first.ID < letter.ID {
			return nil, fmt.Errorf("%w: first comes %s", ErrBehind, first.ID)
		}
	}
	before := letter
	edit(&letter)
	letter.State = StateRequested
	return u.write(&letter, &before)
}

// Discard removes a letter for good. Those that wait behind it become requested, as after a success.
func (l *Letters) Discard(ctx context.Context, id string) error {
	return l.operate(ctx, "discard", id, l.removal)
}

// Purge discards all parked letters that failed last before the given time, and returns how many, also with an error.
func (l *Letters) Purge(ctx context.Context, before time.Time) (int, error) {
	n := 0
	f := Filter{State: StateParked, Before: before}
	for letter, err := range l.List(ctx, f) {
		if err != nil {
			return n, fmt.Errorf("purge letters: %w", err)
		}
		removed := false
		err := l.operate(ctx, "purge", letter.ID, func(ctx context.Context, u unit, now Letter) ([]store.Op, error) {
			removed = f.matches(&now) // else it was retried meanwhile
			if !removed {
				return nil, nil
			}
			return l.removal(ctx, u, now)
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) { // discarded meanwhile
			return n, err
		}
		if removed && err == nil {
			n++
		}
	}
	return n, nil
}

// operate applies the operations that fn gives for the letter as it is stored, until nobody else interferes.
func (l *Letters) operate(ctx context.Context, verb, id string, fn func(context.Context, unit, Letter) ([]store.Op, error)) error {
	for {
		err := l.attempt(ctx, id, fn)
		if err == nil {
			return nil
		}
		var interfered *store.RevisionError
		if !errors.As(err, &interfered) || ctx.Err() != nil {
			return fmt.Errorf("%s letter %s: %w", verb, id, err)
		}
	}
}

func (l *Letters) attempt(ctx context.Context, id string, fn func(context.Context, unit, Letter) ([]store.Op, error)) error {
	letter, err := l.get(ctx, id) // for its sequence, which does not change
	if err != nil {
		return err
	}
	letter.revision = 0 // the one that settle reads counts
	ops, err := l.settle(ctx, letter, fn)
	if err == nil && len(ops) > 0 {
		_, err = l.store.Apply(ctx, ops...)
	}
	return err
}
