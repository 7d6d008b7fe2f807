package subscription

import (
	"context"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Subscription feeds events to a Processor. It is safe for concurrent use.
type Subscription struct {
	name string
}

// New makes a subscription. It does no I/O. The name keeps its place; it follows event.ValidateName and has no "/".
func New(s *store.Store, name string, p Processor, o Options) (*Subscription, error) {
	return &Subscription{name: name}, nil
}

// Name gives the name.
func (s *Subscription) Name() string { return s.name }

// Run feeds events until ctx ends, and then returns nil once the batch at hand is handled and its checkpoint written.
// It returns an error that wraps ErrFaulted, ErrCheckpoint or store.ErrClosed; faults of the backend are waited out.
func (s *Subscription) Run(ctx context.Context) error { return nil }

// CaughtUp gives a channel that is closed when this process has, for the first time, handled all that was in the log
// when it looked.
func (s *Subscription) CaughtUp() <-chan struct{} { return nil }

// WaitFor waits until all events up to position are handled, by whichever process. So a caller can read its own write.
func (s *Subscription) WaitFor(ctx context.Context, position event.Position) error { return nil }

// Status reports over all processes. It reads the store.
func (s *Subscription) Status(ctx context.Context) (Status, error) { return Status{}, nil }

// Health gives an error when this subscription is faulted or stalled; it suits events.Part.
func (s *Subscription) Health(ctx context.Context) error { return nil }
