package aggregate

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Repository loads and saves aggregates of type A, a struct that embeds [Root]. It is safe for concurrent use; the
// aggregates are not.
type Repository[A any] struct {
	engine *engine[*A]
	root   func(*A) *Root
}

// errNoStream: an aggregate that no repository has given its stream.
var errNoStream = errors.New("it has no id: make it with Repository.New or load it")

// NewRepository gives a repository of the aggregates of a category: their streams are named category-id. The registry
// must know all types of events that they record. It does no I/O.
//
//	orders, err := aggregate.NewRepository[Order](s, registry, "order", aggregate.Options{})
func NewRepository[A any, P interface {
	*A
	Aggregate
}](s *store.Store, r *schema.Registry, category string, o Options) (*Repository[A], error) {
	fold := Fold[*A]{
		Initial: func() *A { return new(A) },
		Evolve:  func(a *A, e any) (*A, error) { return a, apply(P(a), e) },
	}
	target := func(a **A) any {
		if *a == nil {
			*a = new(A)
		}
		return *a
	}
	e, err := newEngine(s, r, category, fold, o, target)
	if err != nil {
		return nil, err
	}
	return &Repository[A]{engine: e, root: func(a *A) *Root { return P(a).root() }}, nil
}

// New gives a new aggregate with an id, to be saved for the first time. It does no I/O: that the id is taken shows when
// saving, as a conflict.
func (r *Repository[A]) New(id string) (*A, error) {
	stream, err := r.engine.stream(id)
	if err != nil {
		return nil, err
	}
	return r.open(&live[*A]{stream: stream, state: r.engine.fold.initial()}), nil
}

// Load gives the aggregate as it is now, always from the store. It gives store.ErrNotFound where there is none,
// store.ErrStreamDeleted where it was deleted, and ErrTruncated where its first events are gone and no snapshot covers
// them.
func (r *Repository[A]) Load(ctx context.Context, id string) (*A, error) {
	l, err := r.engine.loadNow(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.open(l), nil
}

// LoadAt gives the aggregate as it was at a point in the past; store.ErrNotFound where it has no such point. Saving it
// with new events is a conflict unless the point is the present.
func (r *Repository[A]) LoadAt(ctx context.Context, id string, at Point) (*A, error) {
	l, err := r.engine.loadAt(ctx, id, at)
	if err != nil {
		return nil, err
	}
	return r.open(l), nil
}

// Save stores the events that a has recorded, if no others were stored since it was loaded; else it gives
// store.ErrConflict, and a is of no more use: load it again. Saving what has nothing recorded does nothing.
//
// After store.ErrUnavailable the outcome is unknown; saving the same aggregate again, with nothing
// more recorded, is safe: its events are stored once.
func (r *Repository[A]) Save(ctx context.Context, a *A) (store.Result, error) {
	root := r.root(a)
	switch {
	case root.stream == "" || root.stream.Category() != r.engine.category:
		return store.Result{}, fmt.Errorf("save %T %s to category %s: %w", a, root.stream, r.engine.category, errNoStream)
	case root.fault != nil:
		return store.Result{}, fmt.Errorf("save %s: an event could not be applied: %w", root.stream, root.fault)
	case len(root.changes) == 0:
		return store.Result{}, nil
	}
	// What an earlier, failed Save has encoded keeps its ids.
	more, err := r.engine.log.encode(ctx, root.changes[len(root.pending):])
	if err != nil {
		return store.Result{}, fmt.Errorf("save %s: %w", root.stream, err)
	}
	root.pending = append(root.pending, more...)
	res, err := r.engine.persist(ctx, root.stream, root.version, root.pending)
	if err != nil {
		return store.Result{}, err
	}
	root.version, root.changes, root.pending = res.Version(), nil, nil
	if r.engine.snapshots != nil {
		root.mark = r.engine.snapshots.afterSave(ctx, root.stream, a, root.version, root.mark)
	}
	return res, nil
}

// Update loads the aggregate, or makes it where there is none, lets change record events, and stores them. On a conflict
// it reads the events that came in between and calls change again, on a state without its earlier doings, up to
// Retry.Attempts times; then it gives store.ErrConflict. An error of change is returned as it is and nothing is stored.
// The result is zero where change recorded nothing.
//
// change gets the aggregate for the time of the call: it must not keep it. It may be called several times, so it must
// have no other effects.
func (r *Repository[A]) Update(ctx context.Context, id string, change func(a *A) error) (store.Result, error) {
	return r.engine.update(ctx, id, func(l *live[*A]) ([]any, error) {
		root := r.root(r.open(l))
		if err := change(l.state); err != nil {
			return nil, err
		}
		return root.changes, root.fault
	})
}

// Snapshot takes a snapshot of the aggregate as it is now. It fails where Options.Snapshots is nil.
func (r *Repository[A]) Snapshot(ctx context.Context, id string) error {
	return r.engine.snapshot(ctx, id)
}

// DropSnapshots removes all snapshots of the aggregate, and what this process has cached of it: after a change of shape
// that was forgotten, or because personal data must go.
func (r *Repository[A]) DropSnapshots(ctx context.Context, id string) error {
	return r.engine.dropSnapshots(ctx, id)
}

// open puts what the engine knows into the aggregate's Root.
func (r *Repository[A]) open(l *live[*A]) *A {
	*r.root(l.state) = Root{stream: l.stream, version: l.version, mark: l.mark}
	return l.state
}
