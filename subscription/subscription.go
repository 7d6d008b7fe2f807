package subscription

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Subscription feeds events to a Processor. It is safe for concurrent use.
type Subscription struct {
	o         Options
	store     *store.Store
	name      string
	processor Processor
	exact     bool // Done tells exactly at which event Process has failed

	progress *progress
	running  atomic.Bool
	catching sync.Once
	caughtUp chan struct{}
}

// New makes a subscription. It does no I/O. The name keeps its place; it follows event.ValidateName, has no "/" and at
// most 128 bytes. Faulty options are reported all together, as store.ErrInvalid.
func New(s *store.Store, name string, p Processor, o Options) (*Subscription, error) {
	o = o.withDefaults(name)
	faults := []error{validateName(name), o.validate()}
	if s == nil {
		faults = append(faults, errors.New("a store is needed"))
	}
	if p == nil {
		faults = append(faults, errors.New("a processor is needed"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("subscription %s: %w", name, invalid(err))
	}
	_, exact := p.(Exact)
	return &Subscription{
		o: o, store: s, name: name, processor: p, exact: exact,
		progress: newProgress(), caughtUp: make(chan struct{}),
	}, nil
}

// Name gives the name.
func (s *Subscription) Name() string { return s.name }

// Run feeds events until ctx ends, and then returns nil once the batch at hand is handled and its checkpoint written.
// It returns an error that wraps ErrFaulted, ErrCheckpoint or store.ErrClosed; faults of the backend are waited out.
// It may be called again after it has returned; a call while it runs gives ErrRunning. Subscriptions of the same name,
// here or in other processes, share the partitions.
func (s *Subscription) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return fmt.Errorf("subscription %s: %w", s.name, ErrRunning)
	}
	defer s.running.Store(false)
	err := newRunner(s).run(ctx)
	if err != nil && !errors.Is(err, ErrFaulted) { // which names it
		return fmt.Errorf("subscription %s: %w", s.name, err)
	}
	return err
}

// CaughtUp gives a channel that is closed when all that was in the log when Run began is handled, here or by those who
// share the partitions.
func (s *Subscription) CaughtUp() <-chan struct{} { return s.caughtUp }

// Status reports over all processes. It reads the store.
func (s *Subscription) Status(ctx context.Context) (Status, error) {
	status, err := NewControl(s.store).Status(ctx, s.name)
	if errors.Is(err, store.ErrNotFound) { // it has never run
		return Status{Name: s.name, State: StateStopped}, nil
	}
	return status, err
}

// Health gives an error when this subscription is faulted or stalled; it suits events.Part.
func (s *Subscription) Health(ctx context.Context) error {
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	if status.State != StateFaulted && status.State != StateStalled {
		return nil
	}
	err = fmt.Errorf("subscription %s is %s at position %d, %d behind the head", s.name, status.State, status.Position, status.Lag)
	if status.Error != "" {
		err = fmt.Errorf("%w: %s", err, status.Error)
	}
	return err
}

// head asks for the end of the log, and waits while the backend does not tell.
func (s *Subscription) head(ctx context.Context) (event.Position, error) {
	for try := 1; ; try++ {
		head, err := s.store.Head(ctx)
		if err == nil || errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
			return head, err
		}
		sleep(outagePause(try), ctx.Done())
	}
}
