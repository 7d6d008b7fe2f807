package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/store"
)

// follow copies what comes until the operator switches over.
func (c *copier) follow(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var wake <-chan struct{}
	timer := time.NewTimer(c.o.PollInterval)
	defer timer.Stop()
	for {
		if wake == nil {
			wake = c.wake(watching)
		}
		select {
		case <-c.o.SwitchOver:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-wake:
			if !open {
				wake = nil // lost: asked for again, and polled
				if err := sleep(ctx, c.o.PollInterval); err != nil {
					return err
				}
			}
		case <-timer.C:
		}
		if err := c.steady(ctx, c.catchUp); err != nil {
			return err
		}
		timer.Reset(c.o.PollInterval)
	}
}

// wake gives the source's wake-ups; nil, which never receives, where it has none or cannot give them now.
func (c *copier) wake(ctx context.Context) <-chan struct{} {
	waker, ok := c.from.Backend().(store.Waker)
	if !ok {
		return nil
	}
	wake, err := waker.Wake(ctx)
	if err != nil {
		return nil // polling finds out whether the source is there
	}
	return wake
}

// truncate removes from the target what the source has lost since it was copied: the streams of which more events are
// accounted as removed there than here.
func (c *copier) truncate(ctx context.Context) error {
	for d, err := range removals(ctx, c.from, c.to) {
		if err != nil {
			return err
		}
		if d.to > d.from {
			info, err := c.from.StreamInfo(ctx, d.stream)
			if err != nil {
				return fmt.Errorf("source: %w", err)
			}
			if int64(info.First)-1 < d.to {
				return &DifferentError{Difference: Difference{
					Stream: d.stream, Field: "first", From: fmt.Sprint(info.First), To: fmt.Sprint(d.to + 1),
				}}
			}
			d.from = int64(info.First) - 1 // it is not accounted yet
		}
		removed, err := c.to.Truncate(ctx, d.stream, d.first())
		if err != nil && !errors.Is(err, store.ErrNotFound) { // else all its events came after the copy
			return fmt.Errorf("target: %w", err)
		}
		c.done.Truncated += removed
	}
	return nil
}
