package command

import (
	"context"

	"lexigram.dev/events/internal/dispatch"
)

// Bus holds the handlers of commands, one per Go type. It is safe for concurrent use; dispatching takes no lock.
type Bus struct{ core *dispatch.Bus }

// Options are the settings of a bus: Timeout, Hooks and NewID. The zero value works.
type Options = dispatch.Options

// None is the result of commands that give nothing back: return command.None{}.
type None = struct{}

// NewBus makes an empty bus.
func NewBus(o Options) *Bus { return &Bus{core: dispatch.New("command", o)} }

// Use adds middleware. The first added is the outermost: it sees a command first and its result last. All of it must be
// added before the first handler; later it is an error, ErrLate.
func (b *Bus) Use(middleware ...Middleware) error { return b.core.Use(middleware...) }

// Names lists the Go types that have a handler, sorted.
func (b *Bus) Names() []string { return b.core.Names() }

// Handle registers the handler of commands of type C. A second handler for the same type is ErrDuplicateHandler.
func Handle[C, R any](b *Bus, handler func(ctx context.Context, c C) (R, error)) error {
	return dispatch.Handle(b.core, handler)
}

// Dispatch sends a command to its handler and gives the handler's result. Name the result's type, the command's is
// inferred:
//
//	id, err := command.Dispatch[OrderID](ctx, bus, PlaceOrder{Customer: "ada"})
//
// The handler's errors come back as they are. Other errors are ErrNoHandler, ErrResultType, ErrTimeout, or a *PanicError
// when the handler or middleware panicked. The context that the handler gets always carries a correlation id.
func Dispatch[R, C any](ctx context.Context, b *Bus, c C) (R, error) {
	return dispatch.Dispatch[C, R](ctx, b.core, c)
}

// Dispatch sends a command whose type is known only at run time. See the function Dispatch.
func (b *Bus) Dispatch(ctx context.Context, c any) (any, error) { return b.core.Dispatch(ctx, c) }

// Dispatcher sends commands of type C to their handler, found once: for hot paths, about two thirds of the cost of
// Dispatch. Its method Dispatch(ctx, c) (R, error) is like the function. It is safe for concurrent use.
type Dispatcher[C, R any] = dispatch.Handler[C, R]

// Resolve finds the handler of C. It gives ErrNoHandler where there is none yet, and ErrResultType where the handler's
// result is no R.
func Resolve[C, R any](b *Bus) (*Dispatcher[C, R], error) { return dispatch.Resolve[C, R](b.core) }
