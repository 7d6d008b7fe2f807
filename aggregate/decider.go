package aggregate

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Decider runs decisions on aggregates whose state is an S that pure functions fold. It is safe for concurrent use.
type Decider[S any] struct{ engine *engine[S] }

// State is an aggregate's state after the event of Version. It is the receiver's own.
type State[S any] struct {
	ID      string
	Version event.Version
	Value   S
}

// NewDecider gives a decider for the aggregates of a category: their streams are named category-id. The registry must
// know all types of their events. It does no I/O.
func NewDecider[S any](s *store.Store, r *schema.Registry, category string, fold Fold[S], o Options) (*Decider[S], error) {
	if fold.Evolve == nil {
		return nil, fmt.Errorf("make a decider of %q: %w", category, errNoEvolve)
	}
	e, err := newEngine(s, r, category, fold, o, func(state *S) any { return state })
	if err != nil {
		return nil, err
	}
	return &Decider[S]{engine: e}, nil
}

var errNoEvolve = errors.New("Fold.Evolve is needed")

// Load gives the state as it is now, always from the store. Errors are those of Repository.Load.
func (d *Decider[S]) Load(ctx context.Context, id string) (State[S], error) {
	return stateOf(d.engine.loadNow(ctx, id))
}

// LoadAt gives the state as it was at a point in the past; store.ErrNotFound where the aggregate has no such point.
func (d *Decider[S]) LoadAt(ctx context.Context, id string, at Point) (State[S], error) {
	return stateOf(d.engine.loadAt(ctx, id, at))
}

func stateOf[S any](l *live[S], err error) (State[S], error) {
	if err != nil {
		return State[S]{}, err
	}
	return State[S]{ID: l.stream.Key(), Version: l.version, Value: l.state}, nil
}

// Decide folds the state (the initial one where there are no events), asks decide for the events that follow from it,
// and stores them. On a conflict it reads the events that came in between and calls decide again, up to Retry.Attempts
// times; then it gives store.ErrConflict. An error of decide is returned as it is and nothing is stored. The result is
// zero where decide gives no events.
//
// decide gets the state for the time of the call: it must not keep it. It may be called several times, so it must have no
// effects.
func (d *Decider[S]) Decide(ctx context.Context, id string, decide func(state S) ([]any, error)) (store.Result, error) {
	return d.engine.update(ctx, id, func(l *live[S]) ([]any, error) {
		changes, err := decide(l.state)
		if err != nil {
			return nil, err
		}
		// Folded before they are stored, so that an event which does not fold is never stored.
		if l.state, err = foldAll(d.engine.fold, l.state, changes); err != nil {
			return nil, fmt.Errorf("decide on %s: %w", l.stream, err)
		}
		return changes, nil
	})
}

// Snapshot takes a snapshot of the state as it is now. It fails where Options.Snapshots is nil.
func (d *Decider[S]) Snapshot(ctx context.Context, id string) error {
	return d.engine.snapshot(ctx, id)
}

// DropSnapshots is like Repository.DropSnapshots.
func (d *Decider[S]) DropSnapshots(ctx context.Context, id string) error {
	return d.engine.dropSnapshots(ctx, id)
}

func foldAll[S any](fold Fold[S], state S, changes []any) (S, error) {
	var err error
	for i, change := range changes {
		if state, err = fold.evolve(state, change); err != nil {
			return state, fmt.Errorf("fold new event %d (%T): %w", i+1, change, err)
		}
	}
	return state, nil
}
