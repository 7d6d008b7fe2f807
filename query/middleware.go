package query

import "lexigram.dev/events/internal/dispatch"

// The types of middleware are those of package command: one middleware fits both buses.
type (
	// Message is what middleware sees: Name, Payload, Result, SetResult. Do not keep it.
	Message = dispatch.Message
	// Next is func(ctx context.Context, m Message) error.
	Next = dispatch.Next
	// Middleware is func(next Next) Next.
	Middleware = dispatch.Middleware
	// PanicError is a panic on the way to the handler or in it.
	PanicError = dispatch.PanicError
)

// The kinds of errors, for errors.Is. They are those of package command.
var (
	ErrNoHandler        = dispatch.ErrNoHandler        // no handler for the query's type
	ErrDuplicateHandler = dispatch.ErrDuplicateHandler // the type has a handler already
	ErrResultType       = dispatch.ErrResultType       // the handler answers with another type
	ErrTimeout          = dispatch.ErrTimeout          // no answer within Options.Timeout
	ErrLate             = dispatch.ErrLate             // middleware after the first handler
)
