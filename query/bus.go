package query

import (
	"context"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/dispatch"
	"lexigram.dev/events/observe"
)

// Bus holds the handlers of queries, one per Go type. It is safe for concurrent use; dispatching takes no lock.
type Bus struct{ core *dispatch.Bus }

// Options are the settings of a bus; the zero value works.
type Options struct {
	// Timeout bounds each dispatch: the handler's context ends after so long. It is up to the handler to return then;
	// its error then says ErrTimeout. Defaults to none.
	Timeout time.Duration

	// Hooks watch dispatches. Defaults to none.
	Hooks observe.Hooks

	// NewID makes the correlation id of a query that is dispatched with a context that has none. Defaults to
	// event.NewID.
	NewID func() event.ID
}

// NewBus makes an empty bus.
func NewBus(o Options) *Bus { return &Bus{core: dispatch.New("query", dispatch.Options(o))} }

// Use adds middleware. The first added is the outermost: it sees a query first and its result last. All of it must be
// added before the first handler; later it is an error, ErrLate.
func (b *Bus) Use(middleware ...Middleware) error { return b.core.Use(middleware...) }

// Names lists the Go types that have a handler, sorted.
func (b *Bus) Names() []string { return b.core.Names() }

// Handle registers the handler of queries of type C. A second handler for the same type is ErrDuplicateHandler.
func Handle[C, R any](b *Bus, handler func(ctx context.Context, q C) (R, error)) error {
	return dispatch.Handle(b.core, handler)
}

// Dispatch sends a query to its handler and gives the handler's result. Name the result's type, the query's is inferred:
//
//	orders, err := query.Dispatch[[]Order](ctx, bus, OrdersOf{Customer: "ada"})
//
// The handler's errors come back as they are. Other errors are ErrNoHandler, ErrResultType, ErrTimeout, or a *PanicError
// when the handler or middleware panicked. The context that the handler gets always carries a correlation id.
func Dispatch[R, C any](ctx context.Context, b *Bus, q C) (R, error) {
	d, err := dispatch.Resolve[C, R](b.core)
	if err != nil {
		var none R
		return none, err
	}
	return d.Dispatch(ctx, q)
}

// Dispatch sends a query whose type is known only at run time. See the function Dispatch.
func (b *Bus) Dispatch(ctx context.Context, q any) (any, error) { return b.core.Dispatch(ctx, q) }

// Dispatcher sends queries of one type, C, to their handler, found once: for hot paths, about half the cost of Dispatch.
// It is safe for concurrent use.
type Dispatcher[C, R any] struct{ handler *dispatch.Handler[C, R] }

// Resolve finds the handler of C. It gives ErrNoHandler where there is none yet, and ErrResultType where the handler's
// result is no R.
func Resolve[C, R any](b *Bus) (Dispatcher[C, R], error) {
	h, err := dispatch.Resolve[C, R](b.core)
	return Dispatcher[C, R]{handler: h}, err
}

// Dispatch is like the function Dispatch.
func (d Dispatcher[C, R]) Dispatch(ctx context.Context, q C) (R, error) {
	return d.handler.Dispatch(ctx, q)
}
