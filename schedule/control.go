package schedule

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/store"
)

// Control lists and cancels deliveries from whichever process; it needs no types. It is safe for concurrent use.
type Control struct{ store *store.Store }

// NewControl gives the control over the deliveries of a store. It does no I/O.
func NewControl(s *store.Store) *Control { return &Control{store: s} }

// Cancel removes a delivery, with all further times of one that recurs. When it returns nil the delivery will not be made
// (though a failed attempt at a command may have had an effect). It gives ErrUnknown where it was made already, and
// ErrDelivering where it is being made just now: of a cancellation and a delivery at the same time, one wins.
func (c *Control) Cancel(ctx context.Context, id string) error {
	err := c.change(ctx, id, (*found).remove)
	if err != nil {
		return fmt.Errorf("cancel delivery %s: %w", abbreviate(id), err)
	}
	return nil
}

// change applies what do gives for a delivery that is not being made, until nobody interferes.
func (c *Control) change(ctx context.Context, id string, do func(*found) []store.Op) error {
	for {
		f, err := c.find(ctx, id)
		if err != nil {
			return err
		}
		if f.Claim != "" {
			return fmt.Errorf("%w by %s", ErrDelivering, f.Claim)
		}
		_, err = c.store.Apply(ctx, do(f)...)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// find gives the pending delivery of an id.
func (c *Control) find(ctx context.Context, id string) (*found, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	for last := store.Revision(0); ; {
		r, err := c.store.Get(ctx, idsBucket, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, ErrUnknown
		}
		var p pointer
		if err == nil {
			err = decode(&r, &p)
		}
		if err != nil {
			return nil, err
		}
		e, err := c.store.Get(ctx, agendaBucket, p.Entry)
		if err == nil {
			return decodeEntry(&e)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if r.Revision == last {
			return nil, fmt.Errorf("%w: its entry %s is missing", store.ErrCorrupt, p.Entry)
		}
		last = r.Revision // it was moved, or made, meanwhile
	}
}

// abbreviate shortens an id in errors.
func abbreviate(id string) string {
	if len(id) > 64 {
		return id[:64] + "…"
	}
	return id
}
