package projection

import (
	"context"
	"fmt"
	"iter"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Fold makes documents on demand: it hands the events of a scope, up to the head of the log, to the handlers of the
// documents' projection, and gives what they make of them, by key. Nothing is stored, and what is stored is not looked at.
// For one stream it reads that stream alone. A projection that is only folded need not be in a Set.
//
// Handlers that do something else than to change documents do that, too; a projection with Options.Transaction is refused.
func Fold[T any](ctx context.Context, d *Documents[T], s Scope) (map[string]T, error) {
	p := d.projection
	documents, err := fold(ctx, d, s)
	if err != nil {
		return nil, fmt.Errorf("fold projection %s: %w", p.name, err)
	}
	return documents, nil
}

func fold[T any](ctx context.Context, d *Documents[T], s Scope) (map[string]T, error) {
	p := d.projection
	if p.options.Transaction {
		return nil, fmt.Errorf("%w: its handlers write in a transaction", store.ErrInvalid)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	w, err := p.newWorker(Generation{Version: p.options.Version, Partitions: 1}, 0, nil, true)
	if err != nil {
		return nil, err
	}
	ctx = w.context(ctx)
	for e, err := range p.read(ctx, w.routes.filter, s) {
		if err != nil {
			return nil, err
		}
		if err := w.routes.handle(ctx, &e); err != nil {
			return nil, w.failure(&e, err)
		}
	}
	documents := map[string]T{}
	for key, e := range d.bench(ctx).recent {
		if e.present {
			documents[key] = e.value
		}
	}
	return documents, nil
}

// read yields the events of a scope that pass the projection's own filter, too.
func (p *Projection) read(ctx context.Context, own store.Filter, s Scope) iter.Seq2[event.Recorded, error] {
	var events iter.Seq2[event.Recorded, error]
	wanted := store.Filter{Categories: s.Categories, Streams: s.Streams}
	if len(s.Tags) > 0 {
		wanted.Query = store.Query{{Tags: s.Tags}}
	}
	if len(s.Streams) == 1 {
		events = p.store.ReadStream(ctx, store.StreamRead{Stream: s.Streams[0]})
	} else {
		narrow := wanted
		if len(s.Tags) == 0 {
			narrow.Query = own.Query
		}
		if len(narrow.Categories) == 0 {
			narrow.Categories = own.Categories
		}
		events = p.store.ReadLog(ctx, store.LogRead{Filter: narrow})
	}
	return func(yield func(event.Recorded, error) bool) {
		for e, err := range events {
			passes := err != nil || own.Matches(e.Stream, e.Type, e.Tags) && wanted.Matches(e.Stream, e.Type, e.Tags)
			if passes && !yield(e, err) {
				return
			}
		}
	}
}
