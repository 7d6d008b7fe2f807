package migrate

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// locate finds out where the target ends, and that it is the beginning of the source up to there: by its first event and
// by the last one, which a log has at one place only. If it is not, all of it is read to name the first difference.
func (c *copier) locate(ctx context.Context) error {
	at, err := c.to.Head(ctx)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	head, err := c.from.Head(ctx) // after the target's: what it holds the source had before
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	same := at <= head
	for _, r := range []store.LogRead{{To: at, Limit: 1}, {From: at, Limit: 1, Backwards: true}} {
		if same && at > 0 {
			if same, err = c.agrees(ctx, r); err != nil {
				return err
			}
		}
	}
	if !same {
		return c.firstDifference(ctx, at)
	}
	if !c.started {
		c.started, c.done.Begun = true, at
	}
	c.located, c.done.Position = true, at
	return nil
}

// agrees reports whether the one event that a read of each store gives is the same; or, where the source gives another
// one, whether it holds the same as the target there, and has lost what the target gives.
func (c *copier) agrees(ctx context.Context, r store.LogRead) (bool, error) {
	ours, err := one(c.to.ReadLog(ctx, r))
	if err != nil || ours == nil {
		return ours != nil, wrap("target", err)
	}
	theirs, err := one(c.from.ReadLog(ctx, r))
	if err != nil {
		return false, wrap("source", err)
	}
	if theirs == nil || theirs.Position != ours.Position {
		if lost, err := c.lost(ctx, ours); err != nil || !lost || theirs == nil {
			return lost, err
		}
		if ours, err = one(c.to.ReadLog(ctx, store.LogRead{From: theirs.Position, To: theirs.Position})); err != nil {
			return false, wrap("target", err)
		}
	}
	_, different := differs(theirs, ours)
	return !different, nil
}

// lost reports whether the source has truncated an event.
func (c *copier) lost(ctx context.Context, e *event.Recorded) (bool, error) {
	info, err := c.from.StreamInfo(ctx, e.Stream)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && info.First > e.Version, wrap("source", err)
}

// firstDifference gives a *DifferentError. It reads both logs up to where the target ends.
func (c *copier) firstDifference(ctx context.Context, at event.Position) error {
	left := pull("source", c.from.ReadLog(ctx, store.LogRead{To: at}))
	right := pull("target", c.to.ReadLog(ctx, store.LogRead{To: at}))
	defer left.stop()
	defer right.stop()
	for l, r := left.next(), right.next(); ; {
		switch {
		case left.err != nil:
			return left.err
		case right.err != nil:
			return right.err
		case l == nil && r == nil:
			return &DifferentError{Difference: Difference{Position: at, Field: "event"}}
		case l == nil || r != nil && r.Position < l.Position: // the target has more
			lost, err := c.lost(ctx, r)
			if err != nil {
				return err
			}
			if !lost {
				d, _ := differs(nil, r)
				return &DifferentError{Difference: d}
			}
			r = right.next()
		case r == nil || l.Position < r.Position:
			d, _ := differs(l, nil)
			return &DifferentError{Difference: d}
		default:
			if d, different := differs(l, r); different {
				return &DifferentError{Difference: d}
			}
			l, r = left.next(), right.next()
		}
	}
}

// one gives the first of a sequence; nil where there is none.
func one(events func(yield func(event.Recorded, error) bool)) (*event.Recorded, error) {
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		return &e, nil
	}
	return nil, nil
}

func wrap(end string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", end, err)
}
