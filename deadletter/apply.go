package deadletter

import (
	"context"
	"errors"

	"lexigram.dev/events/store"
)

// Apply does operations that Park, Resolved or Failed has given, for a source that has nothing to write beside them.
func (l *Letters) Apply(ctx context.Context, ops ...store.Op) error {
	_, err := l.store.Apply(ctx, ops...)
	return err
}

// ParkNow parks a letter by itself, and asks again as often as the letter or its sequence changes meanwhile.
func (l *Letters) ParkNow(ctx context.Context, letter Letter) error {
	for {
		ops, err := l.Park(ctx, letter)
		if err == nil {
			err = l.Apply(ctx, ops...)
		}
		if !errors.Is(err, store.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
}
