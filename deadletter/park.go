package deadletter

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// What this file holds is for the sources. It gives operations for the caller's own batch, so that a letter is written in
// one unit with a checkpoint; or by themselves with store.Store.Apply. Each batch takes the operations of one letter of a
// sequence: those of a second one expect what the first has changed.
//
// On a backend that does the operations one after the other, a crash between them loses nothing: what tells of a letter
// is written before, and removed after, what it replaces; so at worst a letter is handled, or parked, once more.

// Park gives the operations that park a letter, new or again. They fail (store.RevisionError) if the letter or its
// sequence changes meanwhile; then ask again. The id is filled in, and so are the times where they are zero.
//
// State may be StateParked (or empty) or StateWaiting. A letter that is to wait behind others of its sequence while there
// is none any more becomes requested at once, so that it is neither lost nor forgotten. A letter that is there already
// keeps the time of its first failure, what somebody has edited, and a retry that somebody has asked for.
func (l *Letters) Park(ctx context.Context, letter Letter) ([]store.Op, error) {
	if err := l.prepare(&letter); err != nil {
		return nil, fmt.Errorf("park letter: %w", err)
	}
	ops, err := l.park(ctx, letter)
	if err != nil {
		return nil, fmt.Errorf("park letter %s: %w", letter.ID, err)
	}
	return ops, nil
}

func (l *Letters) prepare(letter *Letter) error {
	if err := l.checkSource(letter.Source); err != nil {
		return err
	}
	name, err := l.nameOf(letter)
	if err != nil {
		return err
	}
	letter.ID = letter.Source + "/" + name
	if letter.State == "" {
		letter.State = StateParked
	}
	switch {
	case letter.State != StateParked && letter.State != StateWaiting:
		return invalid("state %q: only %q and %q can be parked", letter.State, StateParked, StateWaiting)
	case letter.State == StateWaiting && letter.Sequence == "":
		return invalid("letter %s waits, but has no sequence to wait in", letter.ID)
	case letter.Attempts < 0:
		return invalid("letter %s: %d attempts", letter.ID, letter.Attempts)
	}
	letter.Error = clip(letter.Error)
	if letter.LastFailedAt.IsZero() {
		letter.LastFailedAt = l.time()
	}
	if letter.FirstFailedAt.IsZero() {
		letter.FirstFailedAt = letter.LastFailedAt
	}
	return nil
}

func (l *Letters) park(ctx context.Context, letter Letter) ([]store.Op, error) {
	unit, err := l.begin(ctx, &letter)
	if err != nil {
		return nil, err
	}
	var before *Letter
	switch found, err := l.get(ctx, letter.ID); {
	case err == nil:
		before = &found
		letter.keep(before)
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	var moved []store.Op
	if before != nil && before.Sequence != letter.Sequence { // the source has begun, or ceased, to keep an order
		from, err := l.begin(ctx, before)
		if err != nil {
			return nil, err
		}
		if moved, err = l.removal(ctx, from, *before); err != nil {
			return nil, err
		}
		before = nil
	}
	if letter.State == StateWaiting {
		_, behind, err := l.first(ctx, unit.sequence, letter.ID)
		if err != nil {
			return nil, err
		}
		if !behind {
			letter.State = StateRequested
		}
	}
	ops, err := unit.write(&letter, before)
	return append(moved, ops...), err
}

// keep takes over what parking again must not undo.
func (letter *Letter) keep(before *Letter) {
	letter.FirstFailedAt = before.FirstFailedAt
	letter.Attempts = max(letter.Attempts, before.Attempts)
	if before.Edited {
		letter.Edited, letter.Event, letter.Message = true, before.Event, before.Message
	}
	if before.State == StateRequested || before.State == StateParked && letter.State == StateWaiting {
		letter.State = before.State
	}
	if letter.Error == "" {
		letter.Error, letter.Reason = before.Error, before.Reason
	}
}

// Resolved gives the operations that remove a letter which was retried with success. The next one of its sequence, if it
// waits, becomes requested in the same unit. For a letter that is gone there are none. A letter that was changed since it
// was read, so that what was handled is not what it holds now, gives a store.RevisionError: it stays requested.
func (l *Letters) Resolved(ctx context.Context, letter Letter) ([]store.Op, error) {
	ops, err := l.settle(ctx, letter, l.removal)
	if err != nil {
		return nil, fmt.Errorf("resolve letter %s: %w", letter.ID, err)
	}
	return ops, nil
}

// Failed gives the operations that put a retried letter back to parked, with the new error and one more attempt. As for
// Resolved, there are none for a letter that is gone, and one that was changed meanwhile gives a store.RevisionError.
func (l *Letters) Failed(ctx context.Context, letter Letter, cause error) ([]store.Op, error) {
	ops, err := l.settle(ctx, letter, func(_ context.Context, u unit, now Letter) ([]store.Op, error) {
		before := now
		now.State, now.Error, now.LastFailedAt = StateParked, clip(fmt.Sprint(cause)), l.time()
		now.Attempts++
		if skew, _ := schema.SkewOf(cause); skew != schema.NoSkew {
			now.Reason = Skew
		} else {
			now.Reason = ""
		}
		ops, err := u.write(&now, &before)
		return append(ops, store.Delete(requestsBucket, now.requestKey())), err
	})
	if err != nil {
		return nil, fmt.Errorf("put back letter %s: %w", letter.ID, err)
	}
	return ops, nil
}

// settle gives fn's operations for the letter as it is stored now, unless it is gone or has changed.
func (l *Letters) settle(ctx context.Context, letter Letter, fn func(context.Context, unit, Letter) ([]store.Op, error)) ([]store.Op, error) {
	if letter.ID == "" {
		return nil, invalid("the letter has no id")
	}
	u, err := l.begin(ctx, &letter)
	if err != nil {
		return nil, err
	}
	now, err := l.get(ctx, letter.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if letter.revision != 0 && letter.revision != now.revision {
		return nil, changed(letter.ID, letter.revision, now.revision)
	}
	return fn(ctx, u, now)
}
