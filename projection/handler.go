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
	typeName func(r *schema.Registry) (string, error) // nil: any type
	decode   bool
	call     func(ctx context.Context, decoded any, r *event.Recorded) error
}

// On adds a handler of events of the Go type E, or of pointers to it. Its stored name is looked up when the projection
// starts; by then E must be registered. Several handlers of a type are called in the order in which they were added.
func On[E any](p *Projection, handle func(ctx context.Context, e E, r event.Recorded) error) {
	on[E](p, func(ctx context.Context, e *E, r *event.Recorded) error { return handle(ctx, *e, *r) })
}

func on[E any](p *Projection, handle func(ctx context.Context, e *E, r *event.Recorded) error) {
	p.handlers = append(p.handlers, handler{
		typeName: schema.NameFor[E],
		decode:   true,
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
		typeName: func(*schema.Registry) (string, error) { return typeName, event.ValidateName(typeName) },
		call:     func(ctx context.Context, _ any, r *event.Recorded) error { return handle(ctx, *r) },
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
	r.decode = r.decode || h.decode
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
		if h.typeName == nil {
			r.rest.add(h)
			continue
		}
		name, err := h.typeName(p.registry)
		if err != nil {
			faults = append(faults, fmt.Errorf("handler: %w", err))
			continue
		}
		known, there := r.byType[name]
		if !there {
			types = append(types, name)
		}
		known.add(h)
		r.byType[name] = known
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
	var decoded any
	if to.decode {
		if decoded, err = r.registry.Decode(e); err != nil {
			return err
		}
	}
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("handler", value)
		}
	}()
	for i := range to.handlers {
		if err := to.handlers[i].call(ctx, decoded, e); err != nil {
			return err
		}
	}
	return nil
}
