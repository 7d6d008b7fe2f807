package query

import "lexigram.dev/events/internal/dispatch"

// Message is what middleware sees of a query on its way to the handler and back: Name, Payload, Result and SetResult.
// It is valid until the middleware returns: do not keep it.
type Message = dispatch.Message

// Next handles a message: func(ctx context.Context, m Message) error. It is the handler with what middleware is left
// around it.
type Next = dispatch.Next

// Middleware is func(next Next) Next. It is called once per handler, when that is registered; the function it returns is
// called for each message, from many goroutines at once. The same middleware fits the command bus and the query bus.
type Middleware = dispatch.Middleware

// PanicError is a panic of a handler or of middleware, with its value and stack.
type PanicError = dispatch.PanicError

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrNoHandler: no handler is registered for the query's type.
	ErrNoHandler = dispatch.ErrNoHandler
	// ErrDuplicateHandler: there is a handler for the query's type already.
	ErrDuplicateHandler = dispatch.ErrDuplicateHandler
	// ErrResultType: the handler gives a result of another type than was asked for.
	ErrResultType = dispatch.ErrResultType
	// ErrLate: middleware was added after the first handler, which would have missed it.
	ErrLate = dispatch.ErrLate
	// ErrTimeout: the handler did not finish within Options.Timeout. It comes with context.DeadlineExceeded.
	ErrTimeout = dispatch.ErrTimeout
)
