package projection

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// spareOps is how many operations of a batch are left for the checkpoint, the gate and dead letters; maxFlushBytes bounds
// the documents in one unit, which some backends hold in memory several times over.
const (
	spareOps      = 32
	maxFlushBytes = 32 << 20
)

// errSplit says that a batch changes more than fits into one unit.
var errSplit = fmt.Errorf("the changes of one event: %w", store.ErrTooLarge)

// worker handles the events of one partition of one generation. It is used by one goroutine at a time.
type worker struct {
	projection *Projection
	generation Generation
	partition  int
	store      *store.Store // nil: what is made is only to be looked at
	brief      bool         // it is made for few events: reading documents ahead would not pay

	routes  *routes
	shelves []shelf // by the number of the kind of documents; nil: not used yet
}

type workerKey struct{ p *Projection }

func (p *Projection) newWorker(g Generation, partition int, s *store.Store, brief bool) (*worker, error) {
	routes, err := p.routing()
	if err != nil {
		return nil, err
	}
	return &worker{
		projection: p, generation: g, partition: partition, store: s, brief: brief,
		routes: routes, shelves: make([]shelf, len(p.documents)),
	}, nil
}

// context gives what handlers are called with.
func (w *worker) context(ctx context.Context) context.Context {
	return context.WithValue(context.WithValue(ctx, workerKey{w.projection}, w), generationKey{}, w.generation)
}

// handle handles events in order. When one fails it tells which.
func (w *worker) handle(ctx context.Context, events []event.Recorded) (failed int, err error) {
	ctx = w.context(ctx)
	for i := range events {
		if err := w.routes.handle(ctx, &events[i]); err != nil {
			return i, w.failure(&events[i], err)
		}
	}
	return 0, nil
}

func (w *worker) failure(e *event.Recorded, err error) error {
	return &HandlerError{
		Projection: w.projection.name, Generation: w.generation.Number, Type: e.Type, Position: int64(e.Position), Err: err,
	}
}

// flush gives the operations that write what the handlers have changed; errSplit where they are too many.
func (w *worker) flush() ([]store.Op, error) {
	var ops []store.Op
	var err error
	for _, s := range w.shelves {
		if s != nil {
			if ops, err = s.flush(ops); err != nil {
				return nil, err
			}
		}
	}
	bytes := 0
	for i := range ops {
		bytes += len(ops[i].Value)
	}
	if len(ops) > w.store.Limits().MaxBatchOps-spareOps || bytes > maxFlushBytes {
		return nil, errSplit
	}
	return ops, nil
}

// settle says that what flush gave was done.
func (w *worker) settle() {
	for _, s := range w.shelves {
		if s != nil {
			s.settle()
		}
	}
}

// forget throws away what is known of documents: something has failed, or somebody else has written.
func (w *worker) forget() { clear(w.shelves) }

// isConflict reports whether a document was made by another partition in the same moment.
func (w *worker) isConflict(err error) bool {
	var conflict *store.RevisionError
	return errors.As(err, &conflict) && conflict.Bucket != gateBucket && w.generation.Partitions > 1
}
