package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Transformed says what a copy with a transform has done.
type Transformed struct {
	Begun    event.Position `json:"begun"`    // of the source: where this run went on
	Position event.Position `json:"position"` // of the source: all up to here is copied
	Events   int64          `json:"events"`   // of the source, read by this run to be copied
	Written  int64          `json:"written"`  // by this run
	Total    int64          `json:"total"`    // written by all runs
	Ended    bool           `json:"ended"`    // what the transform held back is written too
	Took     time.Duration  `json:"-"`
}

// CopyTransformed copies a log through a transform, into another store, which is empty or holds what an earlier call of
// the same copy has left; or within one store into other categories. The source stays as it is and may be written to all
// the time; a later call goes on with what came since.
//
// fresh gives a new transform. A copy that goes on where another one was interrupted, at whatever point, lets a new one run
// over what is copied already, without writing, so that it knows what the other one knew; see
// TransformOptions.Stateless. How far the copy is stands in what it has written: in another store that is the end of the
// log, in the same store an event of stream "migration-NAME" in each of its commits. So nothing is written twice, or left
// out, by a kill at any moment. A transform that gives something else than before is found out, and refused
// (*DifferentError).
//
// In another store, events keep the time at which they were recorded. Ending ctx cancels; calling it again goes on.
// Several calls at once do no harm: all but one fail with an error of the kind store.ErrConflict.
func CopyTransformed(ctx context.Context, from, to *store.Store, fresh func() Transform, o TransformOptions) (Transformed, error) {
	o = o.withDefaults()
	if err := o.validate(from, to, fresh); err != nil {
		return Transformed{}, fmt.Errorf("copy with a transform: %w", err)
	}
	c := transformer{maker: newMaker(from, to, fresh, &o), pacer: pacer{Schedule: &o.Schedule}, steady: copier{o: Options{Patience: o.Patience}}}
	if c.within {
		c.sink = &appendSink{to: to, o: &o}
	} else {
		c.sink = &importSink{to: to, o: &o}
	}
	begun := time.Now()
	err := c.run(ctx)
	c.done.Took = time.Since(begun)
	if err != nil {
		return c.done, fmt.Errorf("copy with a transform: at position %d of the source: %w", c.done.Position, err)
	}
	return c.done, nil
}

// sink is what takes the outputs. Its calls may be made again after store.ErrUnavailable.
type sink interface {
	// begin finds out how far the copy is.
	begin(ctx context.Context) (place, error)
	// skip takes an output that may be written already, and reports whether it is.
	skip(ctx context.Context, e *event.Recorded) (bool, error)
	// write stores outputs, and that all of the source up to a position is copied.
	write(ctx context.Context, steps []step, upTo event.Position, ended bool) error
}

// place is how far a copy is.
type place struct {
	Source event.Position `json:"source"`          // all up to here is copied
	Made   int64          `json:"made"`            // outputs up to there
	Ended  bool           `json:"ended,omitempty"` // including what was held back
	Extra  int            `json:"extra,omitempty"` // outputs behind there that are written too
}

type transformer struct {
	*maker
	pacer

	sink   sink
	steady copier // for its patience
	done   Transformed
	extra  int // outputs that are still to be skipped
}

func (c *transformer) run(ctx context.Context) error {
	if err := c.wait(ctx, 0); err != nil {
		return err
	}
	var begun place
	if err := c.patiently(ctx, func(ctx context.Context) (err error) { begun, err = c.sink.begin(ctx); return err }); err != nil {
		return err
	}
	c.done.Begun, c.done.Position, c.done.Total, c.done.Ended, c.extra = begun.Source, begun.Source, begun.Made, begun.Ended, begun.Extra
	if err := c.replay(ctx, begun); err != nil {
		return err
	}
	for {
		var head event.Position
		err := c.patiently(ctx, func(ctx context.Context) (err error) { head, err = c.from.Head(ctx); return err })
		switch {
		case err != nil:
			return wrap("source", err)
		case begun.Ended && head > begun.Source:
			grown, err := one(c.from.ReadLog(ctx, store.LogRead{From: begun.Source + 1, To: head, Filter: c.o.Filter, Limit: 1}))
			if err == nil && grown != nil {
				err = fmt.Errorf("%w: it ended at position %d", ErrEnded, begun.Source)
			}
			return err
		case begun.Ended:
			return nil
		}
		before := c.at
		for c.at < head {
			if err := c.copyChunk(ctx, head); err != nil {
				return err
			}
		}
		if head-before <= event.Position(c.o.BatchEvents) {
			return c.finish(ctx, head)
		}
	}
}

// patiently does what may be done again while an end cannot be reached and patience lasts.
func (c *transformer) patiently(ctx context.Context, work func(context.Context) error) error {
	return c.steady.steady(ctx, work)
}

// replay lets the transform see what is copied already.
func (c *transformer) replay(ctx context.Context, begun place) error {
	if c.o.Stateless {
		c.at, c.made = begun.Source, begun.Made
		return nil
	}
	for c.at < begun.Source {
		var events []event.Recorded
		err := c.patiently(ctx, func(ctx context.Context) (err error) { events, err = c.read(ctx, begun.Source); return err })
		if err == nil {
			_, err = c.chunk(events, begun.Source)
		}
		if err != nil {
			return err
		}
		c.o.Progress(Progress{Position: c.at, Head: begun.Source})
	}
	if !begun.Ended && c.made != begun.Made {
		return &DifferentError{Difference: Difference{
			Position: begun.Source, Field: "outputs up to here", From: number(c.made), To: number(begun.Made),
		}}
	}
	return nil
}

// copyChunk copies the next events of the source.
func (c *transformer) copyChunk(ctx context.Context, head event.Position) error {
	var events []event.Recorded
	err := c.patiently(ctx, func(ctx context.Context) (err error) { events, err = c.read(ctx, head); return err })
	if err != nil {
		return err
	}
	if err := c.wait(ctx, len(events)); err != nil {
		return err
	}
	steps, err := c.chunk(events, head)
	if err == nil {
		err = c.store(ctx, steps, false)
	}
	if err != nil {
		return err
	}
	c.done.Events += int64(len(events))
	c.o.Progress(Progress{Position: c.at, Head: head, Events: c.done.Events, CaughtUp: c.at == head})
	return nil
}

// store writes outputs, but for those that an interrupted run has written.
func (c *transformer) store(ctx context.Context, steps []step, ended bool) error {
	written := int64(0)
	for i := range steps {
		s := &steps[i]
		n := 0
		for n < len(s.events) {
			there := false
			err := c.patiently(ctx, func(ctx context.Context) (err error) { there, err = c.sink.skip(ctx, &s.events[n]); return err })
			if err != nil {
				return err
			}
			if !there {
				break
			}
			n++
		}
		s.events = s.events[n:]
		written += int64(len(s.events))
		c.done.Total += int64(n)
	}
	err := c.patiently(ctx, func(ctx context.Context) error { return c.sink.write(ctx, steps, c.at, ended) })
	if err != nil {
		return wrap("target", err)
	}
	c.done.Position, c.done.Written, c.done.Total = c.at, c.done.Written+written, c.done.Total+written
	return nil
}

// finish writes what the transform has held back.
func (c *transformer) finish(ctx context.Context, head event.Position) error {
	if c.transform.End != nil {
		last, err := c.end()
		if err == nil {
			err = c.store(ctx, []step{last}, true)
		}
		if err != nil {
			return err
		}
		c.done.Ended = true
	}
	c.o.Progress(Progress{Position: c.at, Head: head, Events: c.done.Events, CaughtUp: true})
	return nil
}

// errForeign: somebody else writes to the target.
var errForeign = errors.New("another copy of this name, or somebody else, writes to the target")
