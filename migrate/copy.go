package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Copied says what a copy has done.
type Copied struct {
	Begun     event.Position `json:"begun"`     // where the target ended before
	Position  event.Position `json:"position"`  // where it ends now: the source's head, when it was last asked
	Behind    int64          `json:"behind"`    // positions by which the source has grown since: somebody still writes to it
	Events    int64          `json:"events"`    // copied by this run
	Bytes     int64          `json:"bytes"`     // of their data and metadata
	Truncated int64          `json:"truncated"` // events removed from the target, as the source has lost them meanwhile
	Records   int64          `json:"records"`   // set or removed
	Took      time.Duration  `json:"-"`
	Copying   time.Duration  `json:"-"` // the part of it in which events were copied, not waited for
}

// Copy copies the log of one store into another one, which is empty or holds the beginning of the same log: what an
// earlier copy has left, wherever it ended. Positions, versions, ids, times, metadata, tags, truncations and tombstones
// come out as they are in the source, which may be written to all the time.
//
// Several copies into one target at once are safe, each going on behind the other. A target with other content gives a
// *DifferentError, also when another writer adds to it meanwhile. An event over a limit of the target is named, and
// nothing of its batch is copied. An outage of either end is waited for; see Options.Patience. After any error, and after
// the end of ctx, Copied says how far it came, and calling Copy again goes on there.
func Copy(ctx context.Context, from, to *store.Store, o Options) (Copied, error) {
	o = o.withDefaults()
	if err := o.validate(from, to); err != nil {
		return Copied{}, fmt.Errorf("copy: %w", err)
	}
	c := copier{from: from, to: to, o: o, begun: time.Now()}
	err := c.run(ctx)
	c.done.Took = time.Since(c.begun)
	if err != nil {
		return c.done, fmt.Errorf("copy: at position %d: %w", c.done.Position, err)
	}
	return c.done, nil
}

// copier is one copy on its way.
type copier struct {
	from, to *store.Store
	o        Options
	begun    time.Time
	done     Copied // done.Position is where the target ends, if located
	located  bool
	started  bool // done.Begun is set
	caughtUp bool
}

func (c *copier) run(ctx context.Context) error {
	if err := c.steady(ctx, c.catchUp); err != nil {
		return err
	}
	if c.o.SwitchOver != nil {
		if err := c.follow(ctx); err != nil {
			return err
		}
		if err := c.steady(ctx, c.catchUp); err != nil {
			return err
		}
	}
	for _, last := range []func(context.Context) error{c.truncate, c.records, c.lag} {
		if err := c.steady(ctx, last); err != nil {
			return err
		}
	}
	return nil
}

// steady does work again while an end cannot be reached and patience lasts.
func (c *copier) steady(ctx context.Context, work func(context.Context) error) error {
	var lost time.Time
	for try := 0; ; try++ {
		before := c.done
		err := work(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		if lost.IsZero() || c.done != before {
			lost, try = time.Now(), 0
		}
		if time.Since(lost) >= c.o.Patience {
			return err
		}
		if err := sleep(ctx, min(20*time.Millisecond<<min(try, 8), 2*time.Second)); err != nil {
			return err
		}
	}
}

// sleep waits about d, not the same as others do.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// catchUp copies until less than a batch has come in the meantime, which is then copied too.
func (c *copier) catchUp(ctx context.Context) error {
	for {
		if !c.located {
			if err := c.locate(ctx); err != nil {
				return err
			}
		}
		head, err := c.from.Head(ctx)
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		at := c.done.Position
		if head > at {
			err = c.copyTo(ctx, head)
		}
		var moved *store.HeadError
		if errors.As(err, &moved) {
			c.located = false // another copy, or somebody who writes to the target: its content tells
			continue
		}
		if err != nil {
			c.located = false
			return err
		}
		if head-at <= event.Position(c.o.BatchEvents) {
			c.caughtUp = true
			c.report(head)
			return nil
		}
	}
}

// copyTo copies up to a position. The next batch is read while one is imported.
func (c *copier) copyTo(ctx context.Context, head event.Position) error {
	start := time.Now()
	defer func() { c.done.Copying += time.Since(start) }()
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan batch, 1)
	go c.read(ctx, c.done.Position, head, batches)
	defer func() {
		cancel()
		for range batches { // until the reader has ended
			continue
		}
	}()
	for b := range batches {
		if b.err != nil {
			return b.err
		}
		if err := c.to.Import(ctx, c.done.Position, b.events); err != nil {
			return fmt.Errorf("target: %w", err)
		}
		c.done.Position = b.events[len(b.events)-1].Position
		c.done.Events += int64(len(b.events))
		c.done.Bytes += b.bytes
		c.report(head)
	}
	return ctx.Err()
}

func (c *copier) report(head event.Position) {
	c.o.Progress(Progress{Position: c.done.Position, Head: head, Events: c.done.Events, CaughtUp: c.caughtUp})
}

// lag finds out whether the source has grown since.
func (c *copier) lag(ctx context.Context) error {
	head, err := c.from.Head(ctx)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	c.done.Behind = max(0, int64(head-c.done.Position))
	return nil
}
