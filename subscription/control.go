package subscription

import (
	"context"
	"iter"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Control steers subscriptions by name, from whichever process: it writes to the store, and those that run them see it
// within their PollInterval. It is safe for concurrent use.
type Control struct {
	store *store.Store
}

// NewControl gives the control over the subscriptions of a store.
func NewControl(s *store.Store) *Control { return &Control{store: s} }

// List yields the status of each subscription that has ever run, by name.
func (c *Control) List(ctx context.Context) iter.Seq2[Status, error] { return nil }

// Status reports on one. It gives store.ErrNotFound for a name that has never run.
func (c *Control) Status(ctx context.Context, name string) (Status, error) { return Status{}, nil }

// Pause stops the feeding, also across restarts, until Resume.
func (c *Control) Pause(ctx context.Context, name string) error { return nil }

// Resume ends a pause. It also lets a faulted partition try again.
func (c *Control) Resume(ctx context.Context, name string) error { return nil }

// Reset moves the checkpoints of all partitions behind position (0: to the start). A running subscription goes on from
// there. What it has done is not undone.
func (c *Control) Reset(ctx context.Context, name string, position event.Position) error { return nil }

// Delete forgets the checkpoints of a subscription that nobody runs.
func (c *Control) Delete(ctx context.Context, name string) error { return nil }
