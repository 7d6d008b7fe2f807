package projection

import (
	"context"
	"errors"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// State says how a projection fares.
type State string

// The states. Where several are true the first of faulted, paused, rebuilding counts.
const (
	StateStopped    State = "stopped"     // nobody runs it
	StateCatchingUp State = "catching up" // it has not reached the head since it was started
	StateLive       State = "live"        // it follows the head
	StateRetrying   State = "retrying"    // an event has failed and is tried again
	StateStalled    State = "stalled"     // there are events to handle, and it does not come on
	StateFaulted    State = "faulted"     // an event has failed for good, or its place is unusable
	StateRebuilding State = "rebuilding"  // another generation is being built, and this one serves
	StatePaused     State = "paused"      // by an operator
)

// Status is a report on a projection, over all processes. What is not said otherwise is of the live generation.
type Status struct {
	Name        string         `json:"name"`
	State       State          `json:"state"`
	Position    event.Position `json:"position"` // up to here all events are in the read model
	Head        event.Position `json:"head"`
	Lag         int64          `json:"lag_events"`
	LagTime     time.Duration  `json:"lag_ns"` // age of the oldest event that is not handled; 0: none
	Error       string         `json:"error,omitempty"`
	DeadLetters int            `json:"dead_letters"`
	Owners      []string       `json:"owners,omitempty"` // of the partitions; "": nobody

	Live     Generation   `json:"live"`
	Previous []Generation `json:"previous,omitempty"` // the newest first
	Building *Generation  `json:"building,omitempty"`
	Progress *Progress    `json:"progress,omitempty"` // of the one that is being built
	Switch   int64        `json:"switch,omitempty"`   // a generation that was asked to become the live one, and has not yet
}

// Status reports on one projection. It gives an *UnknownError for a name that has never run.
func (c *Control) Status(ctx context.Context, name string) (Status, error) {
	s, err := c.status(ctx, name)
	return s, c.explain(ctx, "status of", name, err)
}

func (c *Control) status(ctx context.Context, name string) (Status, error) {
	found, err := loadCatalog(ctx, c.store, name)
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: name, Live: found.Live, Previous: found.Previous, Building: found.Building, Switch: found.Switch}
	if err := c.fare(ctx, &s, found.Live); err != nil {
		return Status{}, err
	}
	letters := deadletter.New(c.store, deadletter.Options{})
	if s.DeadLetters, err = letters.Count(ctx, deadletter.Filter{Source: found.Live.source(name)}); err != nil {
		return Status{}, err
	}
	if found.Building != nil {
		progress, err := loadProgress(ctx, c.store, name)
		if err != nil {
			return Status{}, err
		}
		if progress.Generation == found.Building.Number {
			s.Progress = &progress
		}
	}
	switch {
	case s.State == StateFaulted:
	case found.Paused:
		s.State = StatePaused
	case found.Building != nil:
		s.State = StateRebuilding
	}
	return s, nil
}

// fare fills in how a generation fares.
func (c *Control) fare(ctx context.Context, s *Status, g Generation) error {
	if g.Mode == Inline {
		return c.fareInline(ctx, s, g)
	}
	of, err := subscription.NewControl(c.store).Status(ctx, g.subscription(s.Name))
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.State = StateStopped
		s.Head, err = c.store.Head(ctx)
		s.Lag = int64(s.Head)
		return err
	case errors.Is(err, subscription.ErrCheckpoint):
		s.State, s.Error = StateFaulted, err.Error()
		return nil
	case err != nil:
		return err
	}
	s.State, s.Position, s.Head, s.Lag, s.LagTime, s.Error = State(of.State), of.Position, of.Head, of.Lag, of.LagTime, of.Error
	for _, partition := range of.Partitions {
		s.Owners = append(s.Owners, partition.Owner)
	}
	return nil
}

func (c *Control) fareInline(ctx context.Context, s *Status, g Generation) error {
	m, _, err := loadMark(ctx, c.store, s.Name, g)
	if err != nil {
		return err
	}
	if s.Head, err = c.store.Head(ctx); err != nil {
		return err
	}
	s.Position, s.Error = m.Position, m.Error
	s.Lag = max(0, int64(s.Head-m.Position))
	switch {
	case m.Error != "":
		s.State = StateFaulted
	case m.Active:
		s.State = StateLive
	default:
		s.State = StateCatchingUp
	}
	for e, err := range c.store.ReadLog(ctx, store.LogRead{From: m.Position + 1, Limit: 1}) {
		if err != nil {
			return err
		}
		s.LagTime = max(0, time.Since(e.RecordedAt))
	}
	return nil
}
