package aggregate

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// engine is what both styles share: loading, deciding with retries, appending, snapshots and the cache. S is the state
// for a Decider, and a pointer to the struct for a Repository.
type engine[S any] struct {
	log       journal
	category  string
	fold      Fold[S]
	retry     Retry
	snapshots *snapshots[S] // nil: off
	cache     *cache[S]     // nil: off
	lanes     lanes
}

// journal stores events of Go types.
type journal struct {
	store    *store.Store
	registry *schema.Registry
	newID    func() event.ID
}

// newEngine checks everything that can be checked at start-up. target gives the pointer that a
// codec gets for a state, the zero one when decoding.
func newEngine[S any](s *store.Store, r *schema.Registry, category string, fold Fold[S], o Options, target func(*S) any) (*engine[S], error) {
	o = o.withDefaults()
	var missing error
	if s == nil || r == nil {
		missing = errors.New("a store and a schema registry are needed")
	}
	_, badCategory := event.NewStreamID(category, "id")
	e := &engine[S]{log: journal{store: s, registry: r, newID: o.NewID}, category: category, fold: fold, retry: o.Retry}
	if o.Cache > 0 {
		e.cache = newCache[S](o.Cache, o.CacheTTL, o.Now)
	}
	err := errors.Join(missing, badCategory, o.validate())
	if o.Snapshots != nil {
		e.snapshots = &snapshots[S]{Snapshots: *o.Snapshots, store: s, category: category, now: o.Now, target: target}
		err = errors.Join(err, e.snapshots.check(fold.initial()))
	}
	if err != nil {
		return nil, fmt.Errorf("make a repository of %q: %w", category, err)
	}
	return e, nil
}

func (e *engine[S]) stream(id string) (event.StreamID, error) {
	stream, err := event.NewStreamID(e.category, id)
	if err != nil {
		return "", fmt.Errorf("aggregate id %q: %w: %w", id, store.ErrInvalid, err)
	}
	return stream, nil
}

// update loads, decides and appends, and does it again on a conflict. decide brings l.state up to the changes that it
// returns; whatever it does to the state, the state is thrown away or rebuilt unless the changes are stored.
func (e *engine[S]) update(ctx context.Context, id string, decide func(l *live[S]) ([]any, error)) (store.Result, error) {
	stream, err := e.stream(id)
	if err != nil {
		return store.Result{}, err
	}
	lane := e.lanes.enter(stream)
	defer lane.leave()
	lane.wait(ctx)
	l, err := e.begin(ctx, stream)
	if err != nil {
		return store.Result{}, err
	}
	for attempt := 1; ; attempt++ {
		changes, err := decide(l)
		if l.cached && (err != nil || len(changes) == 0) {
			// No append will tell whether this was decided on old state. So look.
			if l, err = e.load(ctx, stream, Point{}); err != nil {
				return store.Result{}, err
			}
			changes, err = decide(l)
		}
		if err != nil || len(changes) == 0 {
			return store.Result{}, err
		}
		res, err := e.append(ctx, stream, l.version, changes)
		if err == nil {
			e.stored(ctx, l, res.Version())
			return res, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return store.Result{}, err
		}
		if attempt >= e.retry.Attempts {
			return store.Result{}, fmt.Errorf("gave up after %d attempts: %w", attempt, err)
		}
		if stopped := e.retry.pause(ctx, attempt); stopped != nil {
			return store.Result{}, stopped
		}
		lane.wait(ctx)
		if l, err = e.renew(ctx, l, err); err != nil {
			return store.Result{}, err
		}
	}
}

// begin gives the live aggregate to decide on, from the cache or the store. It belongs to the caller alone.
func (e *engine[S]) begin(ctx context.Context, stream event.StreamID) (*live[S], error) {
	if e.cache != nil {
		if l := e.cache.take(stream); l != nil {
			return l, nil
		}
	}
	return e.load(ctx, stream, Point{})
}

// append stores the changes after a version.
func (e *engine[S]) append(ctx context.Context, stream event.StreamID, after event.Version, changes []any) (store.Result, error) {
	pending, err := e.log.encode(ctx, changes)
	if err != nil {
		return store.Result{}, fmt.Errorf("append stream %s: %w", stream, err)
	}
	return e.persist(ctx, stream, after, pending)
}

func (e *engine[S]) persist(ctx context.Context, stream event.StreamID, after event.Version, pending []event.Pending) (store.Result, error) {
	return e.retry.persist(ctx, e.log.store, store.Commit{
		Appends: []store.Append{{Stream: stream, Expected: store.Exactly(after), Events: pending}},
	})
}

// stored follows up on an append of what l.state holds.
func (e *engine[S]) stored(ctx context.Context, l *live[S], version event.Version) {
	l.version = version
	if e.snapshots != nil {
		l.mark = e.snapshots.afterSave(ctx, l.stream, l.state, version, l.mark)
	}
	if e.cache != nil {
		e.cache.put(l)
	}
}

// encode gives events to append for values: with new ids, and with the metadata of the context on each.
func (j journal) encode(ctx context.Context, changes []any) ([]event.Pending, error) {
	metadata := event.MetadataFrom(ctx)
	pending := make([]event.Pending, len(changes))
	for i, change := range changes {
		p, err := j.registry.Encode(change)
		if err != nil {
			return nil, err
		}
		p.ID, p.Metadata = j.newID(), metadata
		pending[i] = p
	}
	return pending, nil
}

var errNoSnapshots = errors.New("snapshots are off: set Options.Snapshots")

// snapshot takes a snapshot on demand.
func (e *engine[S]) snapshot(ctx context.Context, id string) error {
	if e.snapshots == nil {
		return fmt.Errorf("take a snapshot of %s %q: %w", e.category, id, errNoSnapshots)
	}
	l, err := e.loadNow(ctx, id)
	if err != nil {
		return err
	}
	return e.snapshots.take(ctx, l.stream, l.state, l.version)
}

// dropSnapshots forgets all that is kept of an aggregate beside its events.
func (e *engine[S]) dropSnapshots(ctx context.Context, id string) error {
	stream, err := e.stream(id)
	if err != nil {
		return err
	}
	if e.cache != nil {
		e.cache.take(stream)
	}
	if e.snapshots == nil {
		return fmt.Errorf("drop the snapshots of %s: %w", stream, errNoSnapshots)
	}
	return e.snapshots.drop(ctx, stream, 0)
}
