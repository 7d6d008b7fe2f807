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
func (h *handler) once(ctx context.Context, c *Call) (err error) {
	s, key := h.bus.o.Store, h.source()+"/"+c.Message.Event.ID.String()
	claim, err := h.claim(ctx, claimsBucket, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, claim.Release(context.WithoutCancel(ctx))) }()
	_, err = s.Get(ctx, inboxBucket, key)
	if err == nil {
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := h.run(ctx, c); err != nil {
		return err
	}
	// Not with ctx: the handler has succeeded, whether or not the grace is over.
	if _, err := s.Apply(context.WithoutCancel(ctx), store.Put(inboxBucket, key, nil).For(h.o.Deduplicate)); err != nil {
		// The message is handled. An error would have it handled again now; without the mark it may be later.
		h.bus.o.OnError(fmt.Errorf("handler %s: mark message %s as handled: %w", h.name, c.Message.ID, err))
	}
	return nil
}

// claim takes a lease on a message, and waits while somebody else has it.
func (h *handler) claim(ctx context.Context, bucket, key string) (*lease.Lease, error) {
	// A holder of its own for each claim: one holder takes its own leases over.
	holder := lease.NewHolder(h.bus.o.Store, bucket, h.name, h.o.Timeout+claimMargin)
	tick := time.NewTicker(claimPoll)
	defer tick.Stop()
	for {
		claim, err := holder.Acquire(ctx, key)
		if err == nil || !errors.Is(err, lease.ErrHeld) {
			return claim, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claimKey is a key for something with a long name.
func claimKey(name string) string { return event.DerivedID(event.ID{}, name).String() }
