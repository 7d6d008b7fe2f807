package broker

import (
	"context"
	"time"

	"lexigram.dev/events/checkup"
)

// Backend is what a driver implements. Its callers have validated their input (see [Broker]); it returns the errors of
// this package, wrapping its own, and is safe for concurrent use. A driver reconnects by itself where its client does; it
// needs no policy for it, since a stream that breaks is opened again by its Consumer.
type Backend interface {
	// Publish sends messages, in their order, and returns once the broker has confirmed or refused each. The result is
	// nil when all are confirmed, else it has an entry for each message, nil for the confirmed ones. Messages are not
	// kept or changed. When ctx ends the outcome of those that are not confirmed is unknown.
	Publish(ctx context.Context, messages []Message) []error

	// Declare makes a group known: what is published to its topics from now on is kept for it. Declaring it again, also
	// with more topics, is fine; topics are created where the broker needs that.
	Declare(ctx context.Context, g Group) error

	// Consume joins a group, and declares it. At most prefetch messages may be held by the stream and its receiver
	// together.
	Consume(ctx context.Context, g Group, prefetch int) (Stream, error)

	// Describe tells what the broker is. It asks the server, so it serves as a health check.
	Describe(ctx context.Context) (Description, error)

	// Features tells what this broker can do, without asking.
	Features() Features

	// Close releases everything; streams give back what is not acknowledged. Calls that run give ErrClosed, as all
	// do after it. Calling it again does nothing.
	Close() error
}

// Gauge is a Backend that can count what a group has not handled yet.
type Gauge interface {
	Backlog(ctx context.Context, g Group) (Backlog, error)
}

// Diagnoser is a Backend that can examine its server: permissions, clock, settings on which durability hangs. It changes
// nothing.
type Diagnoser interface {
	Diagnose(ctx context.Context) ([]checkup.Finding, error)
}

// Remover is a Backend that can forget groups.
type Remover interface {
	// RemoveGroup forgets a group, on these topics, and what it has not handled of them: one that nobody consumes any more
	// may keep messages for ever. Members that run lose their streams, and declare it anew; or the broker refuses while
	// there are any. Removing what is not there does nothing.
	RemoveGroup(ctx context.Context, g Group) error
}

// Group is a consumer group: each message of its topics goes to one of its members.
type Group struct {
	Name   string // letters, digits, "-", "_" and "."
	Topics []string

	// FromStart makes a group that did not exist begin with the oldest messages that the broker still has, if it keeps
	// them (Features.Replay). A group begins with what is published after it was declared otherwise.
	FromStart bool
}

// Stream is a member of a group. Receive is called by one goroutine at a time; the rest also while it runs.
//
// What a stream gave out belongs to it until it is acknowledged or given back, however long that takes: where the broker
// has a time limit the driver extends it. While it holds a message, no other member gets a message of the same topic and
// key (Features.Ordered).
type Stream interface {
	// Receive waits for messages and gives at least one, at most limit. ErrUnavailable: the stream is broken, and what
	// was not acknowledged will be redelivered; the caller closes it and consumes again.
	Receive(ctx context.Context, limit int) ([]Received, error)

	// Ack tells that the messages were handled; they are never delivered to this group again. The slice is not kept.
	Ack(ctx context.Context, messages []Received) error

	// Release gives messages back, to be delivered again, to whichever member, after a pause. Where it is 0, nobody has
	// begun with them: a broker that can does not count the delivery then. It is 0 unless Features.DelayedRedelivery.
	Release(ctx context.Context, messages []Received, after time.Duration) error

	// Close leaves the group and gives back all that is not acknowledged. Calling it again does nothing.
	Close() error
}

// Received is a message that a stream gave out.
type Received struct {
	Message    Message
	Deliveries int // how often it was given out, this time included; 0 where the broker does not count

	// Owned reports whether the message with this token still belongs to the stream; it is asked before each attempt.
	// Nil: it does until the stream is closed.
	Owned func(token any) bool

	Token any // the driver's own
}

// Features tells what a broker can do beyond what all can.
type Features struct {
	// Ordered: messages of one topic and key go to one member at a time, in the order in which they were published.
	Ordered bool `json:"ordered"`
	// Durable: messages and groups outlive the broker's restart, and the program's.
	Durable bool `json:"durable"`
	// DeliveryCount: Received.Deliveries is counted, also over crashes of members.
	DeliveryCount bool `json:"delivery_count"`
	// DelayedRedelivery: Release can pause; the messages behind go on meanwhile.
	DelayedRedelivery bool `json:"delayed_redelivery"`
	// Replay: a new group can begin with messages that are older than it (Group.FromStart).
	Replay bool `json:"replay"`
	// MaxMessageBytes is the broker's own limit for body, key and headers together; 0: none that is known.
	MaxMessageBytes int `json:"max_message_bytes,omitempty"`
}

// Description tells what a broker is, for people and for health checks. It holds no secrets.
type Description struct {
	Broker     string   `json:"broker"`   // "memory", "kafka"
	Version    string   `json:"version"`  // of the server
	Location   string   `json:"location"` // hosts; never a password
	Durability string   `json:"durability"`
	Features   Features `json:"features"` // filled in by Broker.Describe
}

// Backlog is what a group has not handled yet.
type Backlog struct {
	Messages int64     `json:"messages"` // published and not acknowledged
	Oldest   time.Time `json:"oldest"`   // Message.Time of the oldest of them; zero: none, or not known
}
