package migrate

import (
	"context"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Planned says what a copy would do.
type Planned struct {
	Head      event.Position `json:"head"`      // of the source
	Position  event.Position `json:"position"`  // where the target ends, and the copy would begin
	Events    int64          `json:"events"`    // to be copied
	Bytes     int64          `json:"bytes"`     // of their data and metadata
	Truncates int64          `json:"truncates"` // streams of which the source has lost what the target holds
	Records   int64          `json:"records"`   // to be set or removed
}

// Plan does everything that Copy does before it writes: it checks both ends, that the target is the beginning of the source,
// and all events that are to be copied against the target's limits. It writes nothing.
func Plan(ctx context.Context, from, to *store.Store, o Options) (Planned, error) {
	o = o.withDefaults()
	err := o.validate(from, to)
	var p Planned
	if err == nil {
		c := copier{from: from, to: to, o: o}
		p, err = c.plan(ctx)
	}
	if err != nil {
		return p, fmt.Errorf("plan a copy: %w", err)
	}
	return p, nil
}

func (c *copier) plan(ctx context.Context) (Planned, error) {
	if err := c.locate(ctx); err != nil {
		return Planned{}, err
	}
	p := Planned{Position: c.done.Position}
	var err error
	if p.Head, err = c.from.Head(ctx); err != nil {
		return p, wrap("source", err)
	}
	limits := c.to.Limits()
	if p.Head > p.Position {
		for e, err := range c.from.ReadLog(ctx, store.LogRead{From: p.Position + 1, To: p.Head}) {
			if err != nil {
				return p, wrap("source", err)
			}
			size, err := limits.CheckImport(&e)
			if err != nil {
				return p, tooMuch(&e, err)
			}
			p.Events, p.Bytes = p.Events+1, p.Bytes+int64(size)
			if p.Events%1000 == 0 {
				c.o.Progress(Progress{Position: e.Position, Head: p.Head, Events: p.Events})
			}
		}
	}
	for r, err := range removals(ctx, c.from, c.to) {
		if err != nil {
			return p, err
		}
		info, err := c.to.StreamInfo(ctx, r.stream)
		if err == nil && info.First < r.first() { // else the copy leaves out what is gone
			p.Truncates++
		}
	}
	if c.o.Records {
		p.Records, err = c.planRecords(ctx)
	}
	return p, err
}

// planRecords counts the records that are not the same.
func (c *copier) planRecords(ctx context.Context) (n int64, err error) {
	buckets, err := bucketsOf(ctx, c.from, c.to)
	if err != nil {
		return 0, err
	}
	for _, bucket := range buckets {
		for p, err := range withoutLeases(ctx, c.from, c.to, bucket) {
			if err != nil {
				return n, err
			}
			if !p.same() {
				n++
			}
		}
	}
	return n, nil
}
