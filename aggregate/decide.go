package aggregate

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Decision is what [Decide] needs to know.
type Decision[S any] struct {
	// Query selects the events that the decision is based on, in all streams. It is the consistency boundary: an event
	// that it selects and that is stored while deciding makes Decide start over; others do not. Required.
	Query store.Query

	// Fold builds the state from those events. Every event that Query selects reaches Evolve, so its type must be
	// registered. Required.
	Fold Fold[S]

	// Decide gives the events that follow from the state; none, or an error, to store nothing. It may be called several
	// times, so it must have no effects. Required.
	Decide func(state S) ([]any, error)

	// Stream is where the events go. Its version does not matter. Required.
	Stream event.StreamID

	// Retry says how often to try. See Retry for the defaults.
	Retry Retry

	// NewID makes the ids of events. Defaults to event.NewID.
	NewID func() event.ID
}

// Decide makes a decision that spans streams (a dynamic consistency boundary, dcb.events). It reads the events that the
// query selects up to the head of the log, folds them, decides, and appends under the condition that no further event
// that the query selects was stored since. On a conflict it does so again, up to Retry.Attempts times, reading only what
// came since; then it gives store.ErrConflict. An error of Decision.Decide is returned as it is.
//
// New events are found by later decisions only if their type and tags match the query: see schema.Tagged. It is safe for
// concurrent use.
func Decide[S any](ctx context.Context, s *store.Store, r *schema.Registry, d Decision[S]) (store.Result, error) {
	if d.NewID == nil {
		d.NewID = event.NewID
	}
	d.Retry = d.Retry.withDefaults()
	if err := d.validate(); err != nil {
		return store.Result{}, fmt.Errorf("decide for stream %s: %w: %w", d.Stream, store.ErrInvalid, err)
	}
	b := boundary[S]{log: journal{store: s, registry: r, newID: d.NewID}, query: d.Query, fold: d.Fold}
	for attempt := 1; ; attempt++ {
		state, err := b.read(ctx)
		if err != nil {
			return store.Result{}, err
		}
		changes, err := d.Decide(state)
		if err != nil || len(changes) == 0 {
			return store.Result{}, err
		}
		pending, err := b.log.encode(ctx, changes)
		if err != nil {
			return store.Result{}, fmt.Errorf("decide for stream %s: %w", d.Stream, err)
		}
		res, err := d.Retry.persist(ctx, s, store.Commit{
			Appends:   []store.Append{{Stream: d.Stream, Expected: store.Any(), Events: pending}},
			Condition: &store.Condition{Query: d.Query, After: b.head},
		})
		switch {
		case err == nil || !errors.Is(err, store.ErrConflict):
			return res, err
		case attempt >= d.Retry.Attempts:
			return store.Result{}, fmt.Errorf("gave up after %d attempts: %w", attempt, err)
		}
		if err = d.Retry.pause(ctx, attempt); err != nil {
			return store.Result{}, err
		}
	}
}

func (d Decision[S]) validate() error {
	var query, functions error
	if len(d.Query) == 0 {
		query = errors.New("the query has no items, so it selects everything and would forbid every append")
	}
	if d.Fold.Evolve == nil || d.Decide == nil {
		functions = errors.New("the functions Fold.Evolve and Decide are needed")
	}
	return errors.Join(query, functions, d.Retry.validate())
}

// boundary reads the events of a query, those of later reads only once.
type boundary[S any] struct {
	log     journal
	query   store.Query
	fold    Fold[S]
	head    event.Position // up to which the events are read
	history []any          // of all events up to head, to fold anew: a decision may have changed the state
}

// read gives the state at the head of the log, and moves b.head there. The head is asked for first: an event that comes
// after that is not read, and the condition of the append forbids it.
func (b *boundary[S]) read(ctx context.Context) (S, error) {
	var none S
	head, err := b.log.store.Head(ctx)
	if err != nil {
		return none, err
	}
	if head > b.head { // a read up to 0 would be one up to whatever the head is then
		read := store.LogRead{From: b.head + 1, To: head, Filter: store.Filter{Query: b.query}}
		for stored, err := range b.log.store.ReadLog(ctx, read) {
			if err != nil {
				return none, err
			}
			if b.history, err = b.log.registry.AppendDecoded(b.history, &stored); err != nil {
				return none, fmt.Errorf("fold the events of the query: %w", err)
			}
		}
		b.head = head
	}
	state := b.fold.initial()
	for _, change := range b.history {
		if state, err = b.fold.evolve(state, change); err != nil {
			return none, fmt.Errorf("fold the events of the query: %T: %w", change, err)
		}
	}
	return state, nil
}
