package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/store"
)

// Scheduler takes deliveries and, while it runs, makes them, together with all other processes that run one over the same
// store. It is safe for concurrent use; Run can be called once.
type Scheduler struct {
	*Control
	o       Options
	running atomic.Bool

	mu     sync.Mutex
	lanes  map[string]*lane // by prefix, those that this process works on
	faults map[string]error // what does not work at present, by what
}

// New makes a scheduler. It does no I/O.
func New(s *store.Store, o Options) (*Scheduler, error) {
	if s == nil {
		return nil, fmt.Errorf("make a scheduler: %w", invalid("a store is needed"))
	}
	o = o.withDefaults(s)
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("make a scheduler: %w", invalid("%w", err))
	}
	return &Scheduler{Control: NewControl(s), o: o, lanes: map[string]*lane{}, faults: map[string]error{}}, nil
}

// Name gives "schedule"; with Run and Health it suits events.Engine.AddRunners.
func (s *Scheduler) Name() string { return "schedule" }

// At schedules a delivery for a time. See Schedule.
func (s *Scheduler) At(ctx context.Context, id string, t time.Time, d Delivery) error {
	return s.Schedule(ctx, id, At(t), d)
}

// After schedules a delivery for after a while. See Schedule.
func (s *Scheduler) After(ctx context.Context, id string, while time.Duration, d Delivery) error {
	return s.Schedule(ctx, id, After(while), d)
}

// Every schedules a delivery for each time of a cron expression. See Schedule and the function Every.
func (s *Scheduler) Every(ctx context.Context, id, cron, zone string, d Delivery) error {
	return s.Schedule(ctx, id, Every(cron, zone), d)
}

// Schedule takes a delivery, and returns when that is durable; with the context of a transaction (store.Transact) it is
// part of that. The id is the caller's, at most 256 bytes. Scheduling the same again while it is pending does nothing, so
// that a call can be repeated; another delivery or another time gives ErrExists. Once the delivery is made its id is free.
//
// The metadata of the context goes with the delivery. What cannot be delivered (a type that is not registered, a time that
// is zero, a bad cron expression) is store.ErrInvalid or store.ErrTooLarge.
func (s *Scheduler) Schedule(ctx context.Context, id string, when When, d Delivery) error {
	if err := s.schedule(ctx, id, when, d, false); err != nil {
		return fmt.Errorf("schedule delivery %s: %w", abbreviate(id), err)
	}
	return nil
}

// Replace is Schedule, but what is pending under the id gives way, unless it is being delivered: that gives ErrDelivering.
func (s *Scheduler) Replace(ctx context.Context, id string, when When, d Delivery) error {
	if err := s.schedule(ctx, id, when, d, true); err != nil {
		return fmt.Errorf("replace delivery %s: %w", abbreviate(id), err)
	}
	return nil
}

func (s *Scheduler) schedule(ctx context.Context, id string, when When, d Delivery, replace bool) error {
	e, err := s.encode(ctx, &d)
	due, faulty := s.due(&when)
	if err := errors.Join(checkID(id), faulty, err); err != nil {
		return err
	}
	e.spec(&when)
	e.Due = due
	for {
		ops := e.write(id, due)
		ops[1] = ops[1].When(store.IfAbsent())
		_, err := s.store.Apply(ctx, ops...)
		if !errors.Is(err, store.ErrConflict) {
			if err == nil {
				s.wake(e.Kind, id)
			}
			return err
		}
		err = s.meet(ctx, id, &e, replace)
		if !errors.Is(err, ErrUnknown) { // else it was made or cancelled meanwhile
			return err
		}
	}
}

// meet schedules an entry whose id is taken.
func (s *Scheduler) meet(ctx context.Context, id string, e *entry, replace bool) error {
	f, err := s.find(ctx, id)
	switch {
	case err != nil:
		return err
	case !replace && f.Hash == e.Hash:
		return nil
	case !replace:
		return fmt.Errorf("%w: %s %s, due at %s", ErrExists, f.Kind, f.Type, time.UnixMicro(f.Due).UTC().Format(time.RFC3339))
	}
	err = s.change(ctx, id, func(f *found) []store.Op {
		f.entry = *e
		return f.move(e.Due)
	})
	if err == nil {
		s.wake(e.Kind, id)
	}
	return err
}

// wake lets the lane of a delivery look at its agenda, if it is this process's.
func (s *Scheduler) wake(kind Kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lanes[prefixOf(kind, partitionOf(id))]; l != nil {
		select {
		case l.poke <- struct{}{}:
		default:
		}
	}
}

// fault takes down what does not work at present; nil: it works.
func (s *Scheduler) fault(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.faults, what)
		return
	}
	s.faults[what] = err
}

// Health gives an error when this process cannot make its deliveries.
func (s *Scheduler) Health(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, err := range s.faults {
		return fmt.Errorf("schedule: %s: %w", what, err) // one of them tells enough: most often it is the same
	}
	return nil
}
