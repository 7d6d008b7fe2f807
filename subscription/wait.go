package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// WaitFor waits until all events up to position are handled, by whichever process. So a caller can read its own write.
// What this process handles is known at once; for what others handle, their checkpoints are asked for again and again,
// so that takes until they are written. It gives the context's error, or that of a store that was closed.
func (s *Subscription) WaitFor(ctx context.Context, position event.Position) error {
	for pause := 10 * time.Millisecond; ; {
		own, others, changed := s.progress.missing(s.o.Partitions, position)
		if len(others) > 0 {
			left, err := s.behind(ctx, others, position)
			if errors.Is(err, store.ErrClosed) || ctx.Err() != nil && err != nil {
				return fmt.Errorf("wait for subscription %s to reach position %d: %w", s.name, position, err)
			}
			if err != nil {
				left = true // asked again
			}
			if left {
				pause = min(2*pause, s.o.PollInterval)
			} else {
				others = nil
			}
		}
		if len(own) == 0 && len(others) == 0 {
			return nil
		}
		var again <-chan time.Time
		var timer *time.Timer
		if len(others) > 0 {
			timer = time.NewTimer(pause)
			again = timer.C
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for subscription %s to reach position %d: %w", s.name, position, err)
		}
	}
}

// behind reports whether a stored checkpoint of some of the partitions is before a position, or missing.
func (s *Subscription) behind(ctx context.Context, partitions []int, position event.Position) (bool, error) {
	for _, i := range partitions {
		r, err := s.store.Get(ctx, checkpointBucket, partitionKey(s.name, i))
		if errors.Is(err, store.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		c, err := decodeCheckpoint(r)
		if err != nil {
			return false, err
		}
		if c.Position < position {
			return true, nil
		}
	}
	return false, nil
}
