package eventbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// The buckets of deduplication. Keys are the handler's source and the event's id.
const (
	inboxBucket  = "$eventbus-inbox"  // what was handled
	claimsBucket = "$eventbus-claims" // what is being handled: leases
)

// claimMargin is how much longer than the handler's timeout a claim lasts, for what comes before and after the call.
const claimMargin = 10 * time.Second

// claimPoll is how often one that waits for another's claim looks.
const claimPoll = 50 * time.Millisecond

// once calls the handler unless it has handled this message before. When somebody is at it, it waits for the outcome.
func (h *handler) once(ctx context.Context, c *Call) error {
	s, key := h.bus.o.Store, h.source()+"/"+c.Message.Event.ID.String()
	claim, err := h.claim(ctx, key)
	if err != nil {
		return err
	}
	// Not with ctx: what was done is noted, whether or not the grace is over. A failure of that is none of the message:
	// a claim expires, and a message without its mark may be handled again.
	after := context.WithoutCancel(ctx)
	defer func() { h.reportFault("give up the claim on message "+c.Message.ID, claim.Release(after)) }()
	handled := false
	if err := h.insist(ctx, "look whether it was handled", func() error {
		_, err := s.Get(ctx, inboxBucket, key)
		handled = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}); err != nil || handled {
		return err
	}
	if err := h.run(ctx, c); err != nil {
		return err
	}
	_, err = s.Apply(after, store.Put(inboxBucket, key, nil).For(h.o.Deduplicate))
	h.reportFault("mark message "+c.Message.ID+" as handled", err)
	return nil
}

// insist waits out the faults of the store, which are none of the message.
func (h *handler) insist(ctx context.Context, what string, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h.reportFault(what, err)
		if err := wait(ctx, h.o.Retry.Pause(failures)); err != nil {
			return err
		}
	}
}

func (h *handler) reportFault(doing string, err error) {
	if err != nil {
		h.bus.o.OnError(fmt.Errorf("handler %s: %s: %w", h.name, doing, err))
	}
}

// claim takes a lease on a message, and waits while somebody else has it.
func (h *handler) claim(ctx context.Context, key string) (*lease.Lease, error) {
	// A holder of its own for each claim: one holder takes its own leases over.
	holder := lease.NewHolder(h.bus.o.Store, claimsBucket, h.name, h.o.Timeout+claimMargin)
	for {
		var claim *lease.Lease // nil: somebody else has it
		err := h.insist(ctx, "claim a message", func() error {
			var err error
			claim, err = holder.Acquire(ctx, key)
			if errors.Is(err, lease.ErrHeld) {
				return nil
			}
			return err
		})
		if err != nil || claim != nil {
			return claim, err
		}
		if err := wait(ctx, claimPoll); err != nil {
			return nil, err
		}
	}
}

// claimKey is a key for something with a long name.
func claimKey(name string) string { return event.DerivedID(event.ID{}, name).String() }
