package projection

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

var errNoHandlers = errors.New("it has no handlers, so it would see no events")

// handler reacts to one event type, or to all that have no handler of their own.
type handler struct {
	typeNames func(r *schema.Registry) ([]string, error) // nil: any type
	takes     reflect.Type                               // the Go type of decoded events that it takes; nil: it gets them undecoded
	call      func(ctx context.Context, decoded any, r *event.Recorded) error
}

// On adds a handler of events of the Go type E, or of pointers to it, under whichever names they are stored. These are
// looked up when the projection starts; by then E must be registered. Of an event that is read as several values
// (schema.Split) it gets those that are its own, in their order. Several handlers of a type are called in the order in which they were added.
func On[E any](p *Projection, handle func(ctx context.Context, e E, r event.Recorded) error) {
	on[E](p, func(ctx context.Context, e *E, r *event.Recorded) error { return handle(ctx, *e, *r) })
}

func on[E any](p *Projection, handle func(ctx context.Context, e *E, r *event.Recorded) error) {
	p.handlers = append(p.handlers, handler{
		typeNames: schema.NamesFor[E],
		takes:     baseOf(reflect.TypeFor[E]()),
		call: func(ctx context.Context, decoded any, r *event.Recorded) error {
			e, ok := as[E](decoded)
			if !ok {
				return fmt.Errorf("the registry decodes %s into %T, the handler takes %v", r.Type, decoded, reflect.TypeFor[E]())
			}
			return handle(ctx, &e, r)
		},
	})
}

// OnType adds a handler of events by their stored name, undecoded. event.TombstoneType tells of deleted streams.
func OnType(p *Projection, typeName string, handle func(ctx context.Context, r event.Recorded) error) {
	p.handlers = append(p.handlers, handler{
		typeNames: func(*schema.Registry) ([]string, error) { return []string{typeName}, event.ValidateName(typeName) },
		call:      func(ctx context.Context, _ any, r *event.Recorded) error { return handle(ctx, *r) },
	})
}

// OnAny adds a handler of all events, undecoded, that have no other handler. With it the projection sees every type.
func OnAny(p *Projection, handle func(ctx context.Context, r event.Recorded) error) {
	p.handlers = append(p.handlers, handler{
		call: func(ctx context.Context, _ any, r *event.Recorded) error { return handle(ctx, *r) },
	})
}

// as gives a decoded event as an E, whether E or the registered type is the pointer.
func as[E any](decoded any) (E, bool) {
	if e, ok := decoded.(E); ok {
		return e, true
	}
	if pointer, ok := decoded.(*E); ok && pointer != nil {
		return *pointer, true
	}
	value := reflect.ValueOf(decoded)
	if value.IsValid() && reflect.TypeFor[E]() == reflect.PointerTo(value.Type()) {
		pointer := reflect.New(value.Type())
		pointer.Elem().Set(value)
		e, ok := pointer.Interface().(E)
		return e, ok
	}
	var none E
	return none, false
}

// routes are the handlers by the stored name of their type.
type routes struct {
	registry *schema.Registry
	byType   map[string]route
	rest     route // of all other types
	filter   store.Filter
}

type route struct {
	handlers []handler
	decode   bool
}

func (r *route) add(h handler) {
	r.handlers = append(r.handlers, h)
	r.decode = r.decode || h.takes != nil
}

// routing looks the types up, again until all are there.
func (p *Projection) routing() (*routes, error) {
	if r := p.routes.Load(); r != nil {
		return r, nil
	}
	if len(p.handlers) == 0 {
		return nil, errNoHandlers
	}
	r := &routes{registry: p.registry, byType: map[string]route{}}
	var faults []error
	var types []string
	for _, h := range p.handlers {
		if h.typeNames == nil {
			r.rest.add(h)
			continue
		}
		names, err := h.typeNames(p.registry)
		if err != nil {
			faults = append(faults, fmt.Errorf("handler: %w", err))
		}
		for _, name := range names {
			known, there := r.byType[name]
			if !there {
				types = append(types, name)
			}
			known.add(h)
			r.byType[name] = known
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	scope := p.options.Scope
	r.filter = store.Filter{Categories: scope.Categories, Streams: scope.Streams}
	if len(r.rest.handlers) > 0 {
		types = nil // all of them
	}
	if len(types) > 0 || len(scope.Tags) > 0 {
		r.filter.Query = store.Query{{Types: types, Tags: scope.Tags}}
	}
	p.routes.Store(r)
	return r, nil
}

// handle calls the handlers of an event.
func (r *routes) handle(ctx context.Context, e *event.Recorded) (err error) {
	to, ok := r.byType[e.Type]
	if !ok {
		to = r.rest
	}
	if len(to.handlers) == 0 {
		return nil
	}
	values := []any{nil}
	if to.decode {
		if values, err = r.registry.AppendDecoded(values[:0], e); err != nil {
			return err
		}
	}
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("handler", value)
		}
	}()
	if len(values) == 0 { // it is read as nothing, but to those who take it undecoded
		return to.call(ctx, nil, e, true)
	}
	for i, value := range values {
		if err := to.call(ctx, value, e, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// call calls the handlers of one value of an event; those that take the event undecoded with the first value alone.
func (r *route) call(ctx context.Context, value any, e *event.Recorded, first bool) error {
	is := baseOf(reflect.TypeOf(value))
	for i := range r.handlers {
		h := &r.handlers[i]
		if h.takes != is && (h.takes != nil || !first) {
			continue
		}
		if err := h.call(ctx, value, e); err != nil {
			return err
		}
	}
	return nil
}

// baseOf is what a pointer type points to, and any other type itself.
func baseOf(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}
