package eventbus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/cloudevents"
	"lexigram.dev/events/schema"
)

// handler is a registered handler.
type handler struct {
	bus   *Bus
	name  string
	takes string // the Go type, for people
	o     HandlerOptions

	want   want
	call   Next // the user's function
	chain  Next // with the middleware around it
	behind *behind
	places places
}

// want says which event types a handler takes.
type want struct {
	all    bool
	goType reflect.Type // a registered type, or an interface
	names  []string     // the event types that give goType, where that is no interface; known from the start on
	known  *sync.Map    // of bool by event type: whether its Go type implements the interface
}

// On registers a handler for events of type E: a registered Go type (or a pointer to one), or an interface, for all
// registered types that implement it, also those that are registered later. The name, of letters, digits, "-" and "_", is
// the handler's for ever: under it the broker keeps what it has not handled yet, and the store its dead letters.
//
// The context that the handler gets carries the event's metadata, with the event as the cause. An error, or a panic, has
// it called again; an error marked by broker.Permanent does not.
func On[E any](b *Bus, name string, handle func(ctx context.Context, e E, m Message) error, o HandlerOptions) error {
	t := reflect.TypeFor[E]()
	h := &handler{bus: b, behind: &behind{}, name: name, takes: t.String(), want: want{goType: t, known: &sync.Map{}}}
	if handle != nil {
		h.call = func(ctx context.Context, c Call) error {
			e, err := as[E](c.Event)
			if err != nil {
				return broker.Permanent(err)
			}
			return handle(ctx, e, c.Message)
		}
	}
	return h.register(o)
}

// OnAll registers a handler for all events, also those of types that are not registered here: it gets them undecoded. See
// On. To get all registered events decoded, use On[any].
func OnAll(b *Bus, name string, handle func(ctx context.Context, m Message) error, o HandlerOptions) error {
	h := &handler{bus: b, behind: &behind{}, name: name, takes: "all", want: want{all: true}}
	if handle != nil {
		h.call = func(ctx context.Context, c Call) error { return handle(ctx, c.Message) }
	}
	return h.register(o)
}

func (h *handler) register(o HandlerOptions) error {
	b := h.bus
	h.o = o.withDefaults(&b.o)
	err := h.o.validate(&b.o)
	if h.call == nil {
		err = errors.Join(err, errors.New("the function is nil"))
	}
	for _, c := range []byte(h.name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			err = errors.Join(err, errors.New("the name must be of letters, digits, - and _"))
			break
		}
	}
	if h.name == "" {
		err = errors.Join(err, errors.New("the name must not be empty"))
	}
	if err == nil {
		err = b.broker.CheckGroup(b.groupOf(h))
	}
	if err == nil {
		err = b.add(h)
	}
	if err != nil {
		return fmt.Errorf("event bus %s: handler %q of %s: %w", b.group, h.name, h.takes, err)
	}
	return nil
}

// start resolves the handler's event type, and puts the middleware around it.
func (h *handler) start(middleware []Middleware) error {
	if t := h.want.goType; t != nil && t.Kind() != reflect.Interface {
		names, err := h.bus.registry.NamesOf(t)
		if err != nil {
			return fmt.Errorf("event bus %s: handler %q: event type %v: %w: call schema.Register for it at start-up",
				h.bus.group, h.name, t, schema.ErrUnregistered)
		}
		h.want.names = names
	}
	h.chain = h.call
	for _, m := range slices.Backward(middleware) {
		h.chain = m(h.chain)
	}
	return nil
}

// source names the handler in dead letters.
func (h *handler) source() string { return h.bus.Name() + "/" + h.name }

// takesType reports whether the handler takes events of a type. For an event type that is not registered, a handler of an
// interface cannot tell, and gives an error.
func (h *handler) takesType(eventType string) (bool, error) {
	switch {
	case h.want.all:
		return true, nil
	case h.want.goType.Kind() != reflect.Interface:
		return slices.Contains(h.want.names, eventType), nil
	}
	if known, ok := h.want.known.Load(eventType); ok {
		return known.(bool), nil
	}
	for _, t := range h.bus.registry.Types() {
		if t.Name == eventType || slices.Contains(t.Aliases, eventType) {
			types := t.Parts
			if !t.Replaced {
				types = []reflect.Type{t.Go}
			}
			takes := slices.ContainsFunc(types, h.wants)
			h.want.known.Store(eventType, takes)
			return takes, nil
		}
	}
	return false, fmt.Errorf("event type %q: %w: whether it is a %v cannot be told", eventType, schema.ErrUnregistered, h.want.goType)
}

// wants reports whether the handler takes values of a Go type.
func (h *handler) wants(t reflect.Type) bool {
	if want := h.want.goType; want.Kind() == reflect.Interface {
		return t.Implements(want)
	}
	return pointed(t) == pointed(h.want.goType)
}

// read makes the call for a delivery; nil where the handler does not take it.
func (h *handler) read(d broker.Delivery) (*Call, error) {
	if !slices.Contains(h.o.Topics, d.Topic) {
		return nil, nil
	}
	if eventType, ok := cloudevents.Type(d.Message); ok {
		takes, err := h.takesType(eventType)
		if err != nil {
			return nil, &schema.DecodeError{Type: eventType, Err: err}
		}
		if !takes {
			return nil, nil
		}
	}
	e, err := cloudevents.Decode(d.Message)
	if err != nil {
		return nil, err
	}
	c := &Call{Handler: h.name, Message: Message{
		Event: e.Event, ID: e.ID, Source: e.Source, Subject: e.Subject, Key: e.Key, Topic: d.Topic, Extensions: e.Extensions, Attempt: d.Attempt,
	}}
	if !h.want.all {
		values, err := h.bus.registry.DecodeAll(&c.Message.Event)
		if err != nil {
			return nil, err
		}
		c.parts = slices.DeleteFunc(values, func(v any) bool { return !h.wants(reflect.TypeOf(v)) })
		if len(c.parts) == 0 {
			return nil, nil
		}
		c.Event = c.parts[0]
	}
	return c, nil
}

func pointed(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// as gives an event as an E: as it is, what it points to, or a pointer to it, since a type may be registered as one and
// handled as the other.
func as[E any](v any) (E, error) {
	if e, ok := v.(E); ok {
		return e, nil
	}
	value := reflect.ValueOf(v)
	if value.Kind() == reflect.Pointer && !value.IsNil() {
		if e, ok := value.Elem().Interface().(E); ok {
			return e, nil
		}
	} else if value.IsValid() {
		pointer := reflect.New(value.Type())
		pointer.Elem().Set(value)
		if e, ok := pointer.Interface().(E); ok {
			return e, nil
		}
	}
	var none E
	return none, fmt.Errorf("event is a %T, and the handler takes %v", v, reflect.TypeFor[E]())
}

// within gives the context of a call: with the event's metadata, and the event as the cause.
func within(ctx context.Context, m *Message) (context.Context, error) {
	return event.WithCause(ctx, m.Event)
}
