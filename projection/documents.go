package projection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// DocumentOptions are the settings of Documents; the zero value works.
type DocumentOptions[T any] struct {
	// Indexes give, by the name of an index, the values under which a document is found with Query. Defaults to none. A
	// change of them needs a new Options.Version.
	Indexes map[string]func(T) []string

	// Codec encodes documents. Defaults to schema.JSON.
	Codec schema.Codec
}

// Documents is a read model of documents of type T by key. Handlers of its projection change them; anybody reads them.
//
// In a handler, with the context it was given, its methods see and make the changes of the batch. They must be called by
// one goroutine at a time, and what Get gives must not be changed in place. Elsewhere the methods that read see the live
// generation, as it was last written.
type Documents[T any] struct {
	projection *Projection
	name       string
	number     int // among the kinds of documents of the projection
	codec      schema.Codec
	indexes    []indexOf[T] // by name
}

type indexOf[T any] struct {
	name   string
	values func(T) []string
}

// kind is a Documents of whatever type.
type kind interface {
	kindName() string
	newShelf(w *worker) shelf
}

// NewDocuments adds a kind of documents to a projection. The name has no "/".
func NewDocuments[T any](p *Projection, name string, o DocumentOptions[T]) *Documents[T] {
	if o.Codec == nil {
		o.Codec = schema.JSON{}
	}
	d := &Documents[T]{projection: p, name: name, number: len(p.documents), codec: o.Codec}
	if err := event.ValidateName(name); err != nil || strings.Contains(name, "/") {
		p.fault("documents %q: the name must not be empty, nor hold control characters or %q", name, "/")
	}
	for _, other := range p.documents {
		if other.kindName() == name {
			p.fault("documents %q: there are some of that name", name)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(o.Indexes)) {
		if err := event.ValidateName(n); err != nil || strings.ContainsAny(n, " !~") {
			p.fault("documents %q: index %q: the name must not be empty, nor hold spaces, control characters, %q or %q", name, n, "!", "~")
		}
		if o.Indexes[n] == nil {
			p.fault("documents %q: index %q has no function", name, n)
		}
		d.indexes = append(d.indexes, indexOf[T]{n, o.Indexes[n]})
	}
	p.documents = append(p.documents, d)
	return d
}

func (d *Documents[T]) kindName() string { return d.name }

// bench gives the documents as the handler that runs with this context sees them; nil outside of handlers.
func (d *Documents[T]) bench(ctx context.Context) *documentShelf[T] {
	w, ok := ctx.Value(workerKey{d.projection}).(*worker)
	if !ok {
		return nil
	}
	if w.shelves[d.number] == nil {
		w.shelves[d.number] = d.newShelf(w)
	}
	return w.shelves[d.number].(*documentShelf[T])
}

// Get gives a document, or store.ErrNotFound.
func (d *Documents[T]) Get(ctx context.Context, key string) (T, error) {
	shelf := d.bench(ctx)
	if shelf == nil {
		return d.getLive(ctx, key)
	}
	e, err := shelf.load(ctx, key)
	if err == nil && !e.present {
		err = store.ErrNotFound
	}
	if err != nil {
		var none T
		return none, fmt.Errorf("get %s %s: %w", d.name, key, err)
	}
	return e.value, nil
}

// getLive reads a document of the live generation; again when that was dropped in the middle.
func (d *Documents[T]) getLive(ctx context.Context, key string) (T, error) {
	for {
		v, err := d.Live(ctx)
		if err != nil {
			var none T
			return none, err
		}
		value, err := v.Get(ctx, key)
		if !errors.Is(err, ErrGone) {
			return value, err
		}
	}
}

// Put sets a document. In handlers only.
func (d *Documents[T]) Put(ctx context.Context, key string, value T) error {
	shelf := d.bench(ctx)
	if shelf == nil {
		return fmt.Errorf("put %s %s: %w", d.name, key, ErrNotHandling)
	}
	e, err := shelf.load(ctx, key)
	if err != nil {
		return fmt.Errorf("put %s %s: %w", d.name, key, err)
	}
	e.value, e.present = value, true
	shelf.touch(e)
	return nil
}

// Update changes a document in place; one that is missing begins as the zero value. In handlers only. When change fails
// the whole batch does, and nothing of it remains.
func (d *Documents[T]) Update(ctx context.Context, key string, change func(doc *T) error) error {
	shelf := d.bench(ctx)
	if shelf == nil {
		return fmt.Errorf("update %s %s: %w", d.name, key, ErrNotHandling)
	}
	e, err := shelf.load(ctx, key)
	if err != nil {
		return fmt.Errorf("update %s %s: %w", d.name, key, err)
	}
	if !e.present {
		e.reset()
		e.present = true
	}
	if err := change(&e.value); err != nil {
		return err
	}
	shelf.touch(e)
	return nil
}

// Delete removes a document; a missing one is fine. In handlers only.
func (d *Documents[T]) Delete(ctx context.Context, key string) error {
	shelf := d.bench(ctx)
	if shelf == nil {
		return fmt.Errorf("delete %s %s: %w", d.name, key, ErrNotHandling)
	}
	e, err := shelf.load(ctx, key)
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", d.name, key, err)
	}
	e.reset()
	shelf.touch(e)
	return nil
}

// PerEntity adds a handler of events of the Go type E which changes the document of the event's stream: its key is the
// part of the stream's name behind the category, so "order-7" has document "7". A missing one begins as the zero value.
func PerEntity[T, E any](d *Documents[T], handle func(doc *T, e E, r event.Recorded) error) {
	Keyed(d, func(_ E, r event.Recorded) string { return r.Stream.Key() }, handle)
}

// Keyed adds a handler of events of the Go type E which changes the document of a key that it takes from the event. An
// event with the key "" is passed over.
func Keyed[T, E any](d *Documents[T], key func(e E, r event.Recorded) string, handle func(doc *T, e E, r event.Recorded) error) {
	on(d.projection, func(ctx context.Context, e *E, r *event.Recorded) error {
		k := key(*e, *r)
		if k == "" {
			return nil
		}
		return d.Update(ctx, k, func(doc *T) error { return handle(doc, *e, *r) })
	})
}
