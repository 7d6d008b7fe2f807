package eventsfx

import (
	"context"
	"reflect"

	"go.uber.org/fx"

	"lexigram.dev/events"
	"lexigram.dev/events/command"
	"lexigram.dev/events/config"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/query"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
)

// Handler registers something with the engine, before it runs: a handler, or a type of events.
type Handler func(a *config.App) error

// Command registers the handler of a type of commands; see command.Handle.
func Command[C, R any](handle func(ctx context.Context, c C) (R, error)) Handler {
	return func(a *config.App) error { return command.Handle(a.Commands(), handle) }
}

// Query registers the handler of a type of queries; see query.Handle.
func Query[Q, R any](handle func(ctx context.Context, q Q) (R, error)) Handler {
	return func(a *config.App) error { return query.Handle(a.Queries(), handle) }
}

// Event registers a handler of a type of events that the event bus brings; see eventbus.On.
func Event[E any](name string, handle func(ctx context.Context, e E, m eventbus.Message) error, o eventbus.HandlerOptions) Handler {
	return func(a *config.App) error { return eventbus.On(a.Bus(), name, handle, o) }
}

// AllEvents registers a handler of all events that the event bus brings; see eventbus.OnAll.
func AllEvents(name string, handle func(ctx context.Context, m eventbus.Message) error, o eventbus.HandlerOptions) Handler {
	return func(a *config.App) error { return eventbus.OnAll(a.Bus(), name, handle, o) }
}

// Type registers a type of events; see schema.Register.
func Type[E any](name string, o schema.Options) Handler {
	return func(a *config.App) error { return schema.Register[E](a.Schema(), name, o) }
}

// Handlers adds handlers to the engine: each a Handler, or a constructor that gives a Handler or a []Handler, and maybe an
// error. They are registered in no particular order.
func Handlers(handlers ...any) fx.Option {
	options := make([]fx.Option, len(handlers))
	for i, h := range handlers {
		if ready, ok := h.(Handler); ok {
			h = func() Handler { return ready }
		}
		tag := `group:"events.handlers"`
		if t := reflect.TypeOf(h); t != nil && t.Kind() == reflect.Func && t.NumOut() > 0 && t.Out(0) == reflect.TypeFor[[]Handler]() {
			tag = `group:"events.handlers,flatten"`
		}
		options[i] = fx.Provide(fx.Annotate(h, fx.ResultTags(tag)))
	}
	return fx.Options(options...)
}

// Projections adds projections to the engine: constructors that give a *projection.Projection, and after it whatever else
// the program is to have of them, such as their documents.
func Projections(constructors ...any) fx.Option {
	return each(constructors, fx.ResultTags(`group:"events.projections"`))
}

// Sagas adds sagas to the engine: constructors that give a *saga.Definition or *saga.Manager. *saga.Set starts them.
func Sagas(constructors ...any) fx.Option {
	return each(constructors, fx.As(new(saga.Definer)), fx.ResultTags(`group:"events.sagas"`))
}

// Runners adds what runs in the background to the engine: constructors that give a subscription, or any other
// events.Runner.
func Runners(constructors ...any) fx.Option {
	return each(constructors, fx.As(new(events.Runner)), fx.ResultTags(`group:"events.runners"`))
}

func each(constructors []any, annotations ...fx.Annotation) fx.Option {
	options := make([]fx.Option, len(constructors))
	for i, c := range constructors {
		options[i] = fx.Provide(fx.Annotate(c, annotations...))
	}
	return fx.Options(options...)
}
