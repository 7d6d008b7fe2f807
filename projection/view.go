package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"lexigram.dev/events/store"
)

// View reads the documents of one generation. A view of the live one stays with it, so what is read through one view fits
// together as far as generations go: take a new one for each request. It is safe for concurrent use.
type View[T any] struct {
	docs       *Documents[T]
	generation Generation
}

// Document is a document that was found.
type Document[T any] struct {
	Key    string
	Value  T
	Cursor string // where to go on: Page.After
}

// Page says which part of a list to give; the zero value gives it all.
type Page struct {
	After     string // the Cursor of the last one of the page before; "": from the start
	Limit     int    // at most so many; 0: no limit
	Backwards bool
}

// Match says which values of an index to find.
type Match struct {
	value string
	whole bool
}

// Equal finds the documents that have exactly this value.
func Equal(value string) Match { return Match{value, true} }

// StartsWith finds the documents that have a value which begins so; with "", all that have one. A document that has
// several such values is found by each of them.
func StartsWith(prefix string) Match { return Match{prefix, false} }

// Live gives a view of the generation that is live now. The switch to another one is atomic: a view sees the one or the
// other, and a generation is live only when it is as far as the one before.
func (d *Documents[T]) Live(ctx context.Context) (*View[T], error) {
	c, err := d.projection.current(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.name, err)
	}
	return &View[T]{docs: d, generation: c.Live}, nil
}

// Generation gives a view of one generation, be it live or not: to compare them. It gives ErrGone when it is not there.
func (d *Documents[T]) Generation(ctx context.Context, number int64) (*View[T], error) {
	c, err := d.projection.current(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.name, err)
	}
	g, ok := c.find(number)
	if !ok {
		return nil, fmt.Errorf("read %s, generation %d: %w", d.name, number, ErrGone)
	}
	return &View[T]{docs: d, generation: g}, nil
}

// List yields the documents of the live generation in the order of their keys. Outside of handlers.
func (d *Documents[T]) List(ctx context.Context, page Page) iter.Seq2[Document[T], error] {
	return d.through(ctx, func(v *View[T]) iter.Seq2[Document[T], error] { return v.List(ctx, page) })
}

// Query yields documents of the live generation in the order of an index: of the value, then of the key. Outside of
// handlers.
func (d *Documents[T]) Query(ctx context.Context, index string, m Match, page Page) iter.Seq2[Document[T], error] {
	return d.through(ctx, func(v *View[T]) iter.Seq2[Document[T], error] { return v.Query(ctx, index, m, page) })
}

var errInHandler = errors.New("lists do not see the changes of the batch: read them outside of handlers")

func (d *Documents[T]) through(ctx context.Context, read func(v *View[T]) iter.Seq2[Document[T], error]) iter.Seq2[Document[T], error] {
	return func(yield func(Document[T], error) bool) {
		var v *View[T]
		var err error
		if d.bench(ctx) != nil {
			err = fmt.Errorf("list %s: %w", d.name, errInHandler)
		} else {
			v, err = d.Live(ctx)
		}
		if err != nil {
			yield(Document[T]{}, err)
			return
		}
		for doc, err := range read(v) {
			if !yield(doc, err) {
				return
			}
		}
	}
}

// Get gives a document, or store.ErrNotFound; ErrGone where that is because the generation was dropped.
func (v *View[T]) Get(ctx context.Context, key string) (T, error) {
	value, err := v.get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		err = errors.Join(v.still(ctx), err)
	}
	if err != nil {
		var none T
		return none, fmt.Errorf("get %s %s: %w", v.docs.name, key, err)
	}
	return value, nil
}

func (v *View[T]) bucket() string { return v.generation.bucket(v.docs.projection.name, v.docs.name) }

func (v *View[T]) get(ctx context.Context, key string) (value T, err error) {
	r, err := v.docs.projection.store.Get(ctx, v.bucket(), key)
	if err != nil {
		return value, err
	}
	return v.decode(r)
}

func (v *View[T]) decode(r store.Record) (value T, err error) {
	data, _, err := splitOwner(r.Value, v.generation.Partitions > 1)
	if err == nil {
		err = v.docs.codec.Unmarshal(data, &value)
	}
	if err != nil {
		err = fmt.Errorf("document %s/%s: %w: %w", r.Bucket, r.Key, store.ErrCorrupt, err)
	}
	return value, err
}

// still gives ErrGone when the generation is no longer there, so that what was not found may have been there.
func (v *View[T]) still(ctx context.Context) error {
	c, err := v.docs.projection.current(ctx)
	if err != nil {
		return err
	}
	if _, there := c.find(v.generation.Number); !there {
		return ErrGone
	}
	return nil
}

// List yields the documents in the order of their keys. When the generation is dropped meanwhile, the last pair is ErrGone.
func (v *View[T]) List(ctx context.Context, page Page) iter.Seq2[Document[T], error] {
	return func(yield func(Document[T], error) bool) {
		fail := func(err error) { yield(Document[T]{}, fmt.Errorf("list %s: %w", v.docs.name, err)) }
		for r, err := range v.docs.projection.store.Scan(ctx, page.of(store.Scan{Bucket: v.bucket()})) {
			var value T
			if err == nil {
				value, err = v.decode(r)
			}
			if err != nil {
				fail(err)
				return
			}
			if !yield(Document[T]{Key: r.Key, Value: value, Cursor: r.Key}, nil) {
				return
			}
		}
		if err := v.still(ctx); err != nil {
			fail(err)
		}
	}
}

// of restricts a scan to what comes after the cursor.
func (p Page) of(s store.Scan) store.Scan {
	s.Limit, s.Backwards = p.Limit, p.Backwards
	switch {
	case p.After == "":
	case p.Backwards && (s.To == "" || p.After < s.To):
		s.To = p.After
	case !p.Backwards && p.After >= s.From:
		s.From = p.After + "\x00" // the next byte string
	}
	return s
}

// Query yields documents in the order of an index: of the value, then of the key. A document that changes while it is read
// is left out if it no longer has the value. When the generation is dropped meanwhile, the last pair is ErrGone.
func (v *View[T]) Query(ctx context.Context, index string, m Match, page Page) iter.Seq2[Document[T], error] {
	return func(yield func(Document[T], error) bool) {
		err := v.query(ctx, index, m, page, yield)
		if err == nil {
			err = v.still(ctx)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(Document[T]{}, fmt.Errorf("query %s by %s: %w", v.docs.name, index, err))
		}
	}
}

// errEnough says that the receiver wants no more.
var errEnough = errors.New("enough")

func (v *View[T]) query(ctx context.Context, index string, m Match, page Page, yield func(Document[T], error) bool) error {
	at := slices.IndexFunc(v.docs.indexes, func(i indexOf[T]) bool { return i.name == index })
	if at < 0 {
		return fmt.Errorf("%w: there is no such index", store.ErrInvalid)
	}
	prefix, err := entryPrefix(index, m.value, m.whole)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	scan := page.of(store.Prefix(v.bucket()+"/index", prefix))
	scan.Limit = 0 // entries may be passed over
	given := 0
	for entry, err := range v.docs.projection.store.Scan(ctx, scan) {
		if err != nil {
			return err
		}
		_, key, ok := splitEntry(index, entry.Key)
		if !ok {
			return fmt.Errorf("index entry %q: %w", entry.Key, store.ErrCorrupt)
		}
		value, err := v.get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if entries, err := v.docs.entriesOf(key, value); err != nil || !slices.Contains(entries, entry.Key) {
			continue
		}
		if !yield(Document[T]{Key: key, Value: value, Cursor: entry.Key}, nil) {
			return errEnough
		}
		if given++; given == page.Limit {
			return nil
		}
	}
	return nil
}
