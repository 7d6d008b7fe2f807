package observe

import (
	"context"
	"fmt"
	"time"
)

// Append tells of one append to a store.
type Append struct {
	Stream    string // the first stream of the commit
	Streams   int    // how many streams
	Events    int
	Duplicate bool
	Took      time.Duration
	Err       error // nil: stored
}

// AppendHook is called after each append.
type AppendHook interface {
	OnAppend(ctx context.Context, a Append)
}

// Read tells of one read of a stream or of the log, when it has ended.
type Read struct {
	Stream string // "": the log
	Events int    // yielded
	Took   time.Duration
	Err    error
}

// ReadHook is called after each read.
type ReadHook interface {
	OnRead(ctx context.Context, r Read)
}

// Dispatch tells of one command or query.
type Dispatch struct {
	Kind string // "command" or "query"
	Name string // the message's type
	Took time.Duration
	Err  error
}

// DispatchHook is called after each command or query.
type DispatchHook interface {
	OnDispatch(ctx context.Context, d Dispatch)
}

// Publish tells of one call that published messages to a broker.
type Publish struct {
	Topic    string // of the first message
	Messages int
	Failed   int // not confirmed
	Took     time.Duration
	Err      error // nil: all are confirmed
}

// PublishHook is called after messages were published.
type PublishHook interface {
	OnPublish(ctx context.Context, p Publish)
}

// Outcome says what an attempt at a delivered message has come to.
type Outcome string

// The outcomes. A message that is Failed is tried again; one that is Dropped no longer belongs to this consumer, whose
// stream was lost or whose grace is over: the broker delivers it again.
const (
	Handled    Outcome = "handled"
	Failed     Outcome = "failed"
	DeadLetter Outcome = "dead_letter" // it is kept as one
	Unkept     Outcome = "unkept"      // to be a dead letter, and not to be kept at the moment
	Dropped    Outcome = "dropped"
)

// Delivery tells of one attempt at a message that a broker has delivered.
type Delivery struct {
	Group, Topic string
	Attempt      int // from 1
	Deliveries   int // more than 1: the broker has delivered it again; 0: it does not count
	Outcome      Outcome
	Took         time.Duration
	Err          error
}

// DeliveryHook is called after each attempt at a message of a broker.
type DeliveryHook interface {
	OnDelivery(ctx context.Context, d Delivery)
}

// Skew tells of an event that this program cannot read, since another release of it has written it: an alarm, since it
// waits until this program is replaced by that release.
type Skew struct {
	Consumer      string // the source of its dead letter, such as "projection/orders/1"
	Reason        string // "unknown_type" or "newer_version"
	Type          string
	SchemaVersion int
	EventID       string
	Stream        string // "" for messages of a broker
	Position      int64  // 0 likewise
	Tenant        string
	Parked        bool // false: the consumer has stopped there
	Err           error
}

// SkewHook is called once for each event that is set aside, or stopped at, for that reason.
type SkewHook interface {
	OnSkew(ctx context.Context, s Skew)
}

// Hooks is a set of hooks, sorted by what they listen to. The zero value is empty and costs nothing.
type Hooks struct {
	appends    []AppendHook
	reads      []ReadHook
	dispatches []DispatchHook
	publishes  []PublishHook
	deliveries []DeliveryHook
	skews      []SkewHook
}

// NewHooks sorts hooks; each must implement at least one of the hook interfaces.
func NewHooks(hooks ...any) (Hooks, error) {
	var h Hooks
	for i, hook := range hooks {
		known := false
		if a, ok := hook.(AppendHook); ok {
			h.appends, known = append(h.appends, a), true
		}
		if r, ok := hook.(ReadHook); ok {
			h.reads, known = append(h.reads, r), true
		}
		if d, ok := hook.(DispatchHook); ok {
			h.dispatches, known = append(h.dispatches, d), true
		}
		if p, ok := hook.(PublishHook); ok {
			h.publishes, known = append(h.publishes, p), true
		}
		if d, ok := hook.(DeliveryHook); ok {
			h.deliveries, known = append(h.deliveries, d), true
		}
		if s, ok := hook.(SkewHook); ok {
			h.skews, known = append(h.skews, s), true
		}
		if !known {
			return Hooks{}, fmt.Errorf("observe: hook %d (%T) implements none of AppendHook, ReadHook, DispatchHook, PublishHook, DeliveryHook, SkewHook", i+1, hook)
		}
	}
	return h, nil
}

// WatchesAppends reports whether anyone listens, so that callers can skip the measuring. Likewise the others.
func (h *Hooks) WatchesAppends() bool { return len(h.appends) > 0 }

// WatchesReads is like WatchesAppends.
func (h *Hooks) WatchesReads() bool { return len(h.reads) > 0 }

// WatchesDispatches is like WatchesAppends.
func (h *Hooks) WatchesDispatches() bool { return len(h.dispatches) > 0 }

// WatchesPublishes is like WatchesAppends.
func (h *Hooks) WatchesPublishes() bool { return len(h.publishes) > 0 }

// WatchesDeliveries is like WatchesAppends.
func (h *Hooks) WatchesDeliveries() bool { return len(h.deliveries) > 0 }

// Append calls the append hooks in the order in which they were given.
func (h *Hooks) Append(ctx context.Context, a Append) {
	for _, hook := range h.appends {
		hook.OnAppend(ctx, a)
	}
}

// Read calls the read hooks.
func (h *Hooks) Read(ctx context.Context, r Read) {
	for _, hook := range h.reads {
		hook.OnRead(ctx, r)
	}
}

// Dispatch calls the dispatch hooks.
func (h *Hooks) Dispatch(ctx context.Context, d Dispatch) {
	for _, hook := range h.dispatches {
		hook.OnDispatch(ctx, d)
	}
}

// Publish calls the publish hooks.
func (h *Hooks) Publish(ctx context.Context, p Publish) {
	for _, hook := range h.publishes {
		hook.OnPublish(ctx, p)
	}
}

// Delivery calls the delivery hooks.
func (h *Hooks) Delivery(ctx context.Context, d Delivery) {
	for _, hook := range h.deliveries {
		hook.OnDelivery(ctx, d)
	}
}

// Skew calls the skew hooks.
func (h *Hooks) Skew(ctx context.Context, s Skew) {
	for _, hook := range h.skews {
		hook.OnSkew(ctx, s)
	}
}

// WithoutSkewAlerts gives the same hooks, of which none is told of version skew. Events are set aside all the same.
func (h Hooks) WithoutSkewAlerts() Hooks {
	h.skews = nil
	return h
}
