package dispatch

import (
	"context"
	"fmt"
)

// Message is what middleware sees of a command or query on its way to the handler and back. It is valid until the
// middleware returns: do not keep it.
type Message interface {
	// Name is the message's Go type, such as "orders.Place".
	Name() string
	// Payload is the command or query itself. Asking for it allocates.
	Payload() any
	// Result is what the handler returned; before that, the zero value of its type. Asking for it allocates.
	Result() any
	// SetResult replaces the result, or gives one in place of the handler. It fails if v is not of the handler's type.
	SetResult(v any) error
}

// Next handles a message: the handler with what middleware is left around it.
type Next func(ctx context.Context, m Message) error

// Middleware wraps the handling of all messages. It is called once per handler, when that is registered; the function
// it returns is called for each message, from many goroutines at once.
type Middleware func(next Next) Next

// envelope is the Message of a command or query C with a result R.
type envelope[C, R any] struct {
	handler *Handler[C, R]
	payload C
	result  R
}

func (e *envelope[C, R]) Name() string { return e.handler.name }
func (e *envelope[C, R]) Payload() any { return e.payload }
func (e *envelope[C, R]) Result() any  { return e.result }

func (e *envelope[C, R]) SetResult(v any) error {
	result, ok := v.(R)
	if !ok {
		return fmt.Errorf("set the result of %s: %T given, need %T", e.handler.title(), v, e.result)
	}
	e.result = result
	return nil
}
