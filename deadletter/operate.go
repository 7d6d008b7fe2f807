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

// RetrySkewed asks for a retry of the letters of a source that were parked for version skew, as far as want says so, and
// returns how many. Sources call it when they start: they may be the release that can read them. Letters behind others of
// their sequence follow by themselves.
func (l *Letters) RetrySkewed(ctx context.Context, source string, want func(*Letter) bool) (int, error) {
	n := 0
	for letter, err := range l.List(ctx, Filter{Source: source, Reason: Skew, State: StateParked}) {
		if err != nil {
			return n, err
		}
		if !want(&letter) {
			continue
		}
		switch err := l.Retry(ctx, letter.ID); {
		case err == nil:
			n++
		case !errors.Is(err, ErrBehind) && !errors.Is(err, store.ErrNotFound):
			return n, err
		}
	}
	return n, nil
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
