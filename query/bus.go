package query

import (
	"context"

	"lexigram.dev/events/internal/dispatch"
)

// Bus answers queries: one handler per Go type of query. Any number of goroutines may use it at once; asking takes no
// lock.
type Bus struct{ core *dispatch.Bus }

// Options are Timeout (of each query), Hooks and NewID. The zero value works.
type Options = dispatch.Options

// NewBus makes a bus without handlers.
func NewBus(o Options) *Bus { return &Bus{core: dispatch.New("query", o)} }

// Handle registers the handler of queries of type Q; the error is ErrDuplicateHandler when there is one.
func Handle[Q, R any](b *Bus, handler func(ctx context.Context, q Q) (R, error)) error {
	return dispatch.Handle(b.core, handler)
}

// Use adds middleware around all handlers, the outermost first. It must come before the first Handle, else ErrLate.
func (b *Bus) Use(middleware ...Middleware) error { return b.core.Use(middleware...) }

// Dispatch sends a query to its handler and gives the answer. Name the answer's type, the query's is inferred:
//
//	orders, err := query.Dispatch[[]Order](ctx, bus, OrdersOf{Customer: "ada"})
//
// Errors are those of the handler, as they are, and ErrNoHandler, ErrResultType, ErrTimeout, *PanicError.
func Dispatch[R, Q any](ctx context.Context, b *Bus, q Q) (R, error) {
	return dispatch.Dispatch[Q, R](ctx, b.core, q)
}

// Dispatcher is a handler found once, for hot paths: its method Dispatch(ctx, q) (R, error) is like the function.
type Dispatcher[Q, R any] = dispatch.Handler[Q, R]

// Resolve finds the handler of Q, which must answer with an R: else ErrNoHandler or ErrResultType.
func Resolve[Q, R any](b *Bus) (*Dispatcher[Q, R], error) { return dispatch.Resolve[Q, R](b.core) }

// Dispatch sends a query whose type is known only at run time.
func (b *Bus) Dispatch(ctx context.Context, q any) (any, error) { return b.core.Dispatch(ctx, q) }

// Names gives, sorted, the Go types of the queries that can be answered.
func (b *Bus) Names() []string { return b.core.Names() }
