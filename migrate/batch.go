package migrate

import (
	"context"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// batch is what one import brings, or why there is none.
type batch struct {
	events []event.Recorded
	bytes  int64
	err    error
}

// read sends what follows a position, up to another one, in batches, and closes the channel at the end.
func (c *copier) read(ctx context.Context, after, to event.Position, batches chan<- batch) {
	defer close(batches)
	send := func(b batch) bool {
		select {
		case batches <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}
	limits := c.to.Limits()
	most, mostBytes := min(c.o.BatchEvents, limits.MaxCommitEvents), int64(min(batchBytes, limits.MaxCommitBytes))
	next := batch{events: make([]event.Recorded, 0, most)}
	versions := map[event.StreamID]event.Version{} // of the streams in next
	for e, err := range c.from.ReadLog(ctx, store.LogRead{From: after + 1, To: to}) {
		if err != nil {
			send(batch{err: fmt.Errorf("source: %w", err)})
			return
		}
		size, err := limits.CheckImport(&e)
		if err != nil {
			if len(next.events) == 0 || send(next) {
				send(batch{err: tooMuch(&e, err)})
			}
			return
		}
		previous, known := versions[e.Stream]
		// A stream that skips versions was truncated while it was read: that is for another import.
		if len(next.events) == most || next.bytes+int64(size) > mostBytes && len(next.events) > 0 || known && e.Version != previous+1 {
			if !send(next) {
				return
			}
			next = batch{events: make([]event.Recorded, 0, most)}
			clear(versions)
		}
		next.events, next.bytes = append(next.events, e), next.bytes+int64(size)
		versions[e.Stream] = e.Version
	}
	if len(next.events) > 0 {
		send(next)
	}
}

// tooMuch names an event that the target does not take.
func tooMuch(e *event.Recorded, err error) error {
	return fmt.Errorf("the target does not take the event at position %d, version %d of stream %s: %w", e.Position, e.Version, e.Stream, err)
}
