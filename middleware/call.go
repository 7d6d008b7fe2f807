package middleware

import (
	"context"

	"lexigram.dev/events/command"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/query"
)

// Kind tells what is being handled.
type Kind string

// The kinds of calls.
const (
	Command Kind = "command"
	Query   Kind = "query"
	Event   Kind = "event"
)

// Call is a message on its way to its handler and back, as steps see it. It is valid until the step returns: do not keep
// it.
type Call interface {
	Kind() Kind
	// Name is the Go type of a command or query, such as "orders.Place", and the type of an event, such as "order.placed".
	Name() string
	// Handler is the name of an event's handler; "" for commands and queries, which have one.
	Handler() string
	// Payload is the command, query or event itself; nil for an event that the handler takes as it was sent.
	Payload() any
	// Result is what the handler returned; before that, the zero value of its type; nil for events.
	Result() any
	// SetResult replaces the result, or gives one in place of the handler. It fails if v is not of the handler's type, and
	// with ErrNoResult for events.
	SetResult(v any) error
}

// Next goes on: to the next step, and at last to the handler. A step may call it once, again after a failure, or not at
// all.
type Next func(ctx context.Context) error

// Step is one piece of middleware. It is called for each message, from many goroutines at once.
type Step func(ctx context.Context, c Call, next Next) error

// Commands makes middleware of a command bus.
func Commands(steps ...Step) command.Middleware { return messages(Command, steps) }

// Queries makes middleware of a query bus.
func Queries(steps ...Step) query.Middleware { return messages(Query, steps) }

// Events makes middleware of an event bus. Its steps are run for each handler and each attempt.
func Events(steps ...Step) eventbus.Middleware {
	return func(next eventbus.Next) eventbus.Next {
		return func(ctx context.Context, c eventbus.Call) error {
			return run(ctx, eventCall{c}, steps, func(ctx context.Context) error { return next(ctx, c) })
		}
	}
}

func messages(kind Kind, steps []Step) command.Middleware {
	return func(next command.Next) command.Next {
		return func(ctx context.Context, m command.Message) error {
			return run(ctx, messageCall{m, kind}, steps, func(ctx context.Context) error { return next(ctx, m) })
		}
	}
}

func run(ctx context.Context, c Call, steps []Step, last Next) error {
	if len(steps) == 0 {
		return last(ctx)
	}
	return steps[0](ctx, c, func(ctx context.Context) error { return run(ctx, c, steps[1:], last) })
}

// messageCall is a command or query.
type messageCall struct {
	command.Message
	kind Kind
}

func (c messageCall) Kind() Kind    { return c.kind }
func (messageCall) Handler() string { return "" }

// eventCall is an event on its way to one of its handlers.
type eventCall struct{ call eventbus.Call }

func (eventCall) Kind() Kind          { return Event }
func (c eventCall) Name() string      { return c.call.Message.Event.Type }
func (c eventCall) Handler() string   { return c.call.Handler }
func (c eventCall) Payload() any      { return c.call.Event }
func (eventCall) Result() any         { return nil }
func (eventCall) SetResult(any) error { return ErrNoResult }

// title names a call in errors.
func title(c Call) string {
	if handler := c.Handler(); handler != "" {
		return string(c.Kind()) + " " + c.Name() + " to " + handler
	}
	return string(c.Kind()) + " " + c.Name()
}
