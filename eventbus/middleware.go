package eventbus

import (
	"context"

	"lexigram.dev/events/event"
)

// Message is what came with an event.
type Message struct {
	// Event is the event as it was sent, not decoded: its type, data and metadata. Its stream, version and position are
	// those of the log that it comes from, if it comes from one.
	Event event.Recorded

	ID         string            // as its sender gave it; Event.ID where that is a UUID
	Source     string            // who has sent it
	Subject    string            // what it is about; may be empty
	Key        string            // what keeps its order; may be empty
	Topic      string            // where it came from
	Extensions map[string]string // further CloudEvents attributes; nil where there are none

	// Attempt is which try this is, from 1.
	Attempt int
}

// Call is one call of a handler, as middleware sees it.
type Call struct {
	Handler string // its name
	Event   any    // decoded; for a handler of OnAll nil
	Message Message

	parts []any // all values that the message is read as, of those that the handler takes; Event is one after the other
}

// Next handles a call: the handler with what middleware is left around it.
type Next func(ctx context.Context, c Call) error

// Middleware wraps the calls of handlers. It is called once per handler, when the bus begins; the function it returns is
// called for each attempt, from many goroutines at once.
type Middleware func(next Next) Next
