package eventbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/schema"
)

// Bus publishes events, and has them handled. It is safe for concurrent use.
//
// Handlers and middleware are registered first. That ends with the first call of Declare, Publish or Run, which makes
// the bus's consumer groups known to the broker: whatever is published from then on reaches its handlers, however late
// they run.
type Bus struct {
	broker   *broker.Broker
	registry *schema.Registry
	group    string
	o        Options
	letters  *deadletter.Letters // nil where failed messages are dropped

	mu         sync.Mutex
	handlers   []*handler
	middleware []Middleware
	begun      bool // no more handlers and middleware

	declared atomic.Bool
	running  atomic.Bool
}

// New makes a bus for one program or service. The group is its name, the same in each of its processes: letters, digits,
// "-", "_" and ".". It does no I/O.
func New(b *broker.Broker, r *schema.Registry, group string, o Options) (*Bus, error) {
	o = o.withDefaults(group)
	err := o.validate()
	if b == nil || r == nil {
		err = errors.Join(err, errors.New("a broker and a schema registry are needed"))
	}
	if err == nil {
		err = b.CheckGroup(broker.Group{Name: group, Topics: o.Topics})
	}
	if err == nil {
		err = b.CheckGroup(broker.Group{Name: group, Topics: []string{o.Topic}})
	}
	if err != nil {
		return nil, fmt.Errorf("event bus %q: %w", group, err)
	}
	bus := &Bus{broker: b, registry: r, group: group, o: o}
	if !o.DropFailed {
		bus.letters = deadletter.New(o.Store, deadletter.Options{Now: o.Now})
	}
	return bus, nil
}

// Name is "eventbus/" and the group; it begins the source of the bus's dead letters.
func (b *Bus) Name() string { return "eventbus/" + b.group }

// Health asks the broker whether it is there.
func (b *Bus) Health(ctx context.Context) error {
	_, err := b.broker.Describe(ctx)
	return err
}

// HandlerInfo describes a handler.
type HandlerInfo struct {
	Name   string `json:"name"`
	Takes  string `json:"takes"`  // the Go type or interface, or "all"
	Group  string `json:"group"`  // of consumers
	Source string `json:"source"` // of its dead letters
}

// Handlers lists the handlers in the order of their registration.
func (b *Bus) Handlers() []HandlerInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	infos := make([]HandlerInfo, len(b.handlers))
	for i, h := range b.handlers {
		infos[i] = HandlerInfo{Name: h.name, Takes: h.takes, Group: b.groupOf(h).Name, Source: h.source()}
	}
	return infos
}

// groupOf is the consumer group that brings messages to a handler.
func (b *Bus) groupOf(h *handler) broker.Group {
	if b.o.Dispatch == Sequential {
		return broker.Group{Name: b.group, Topics: b.o.Topics, FromStart: b.o.FromStart}
	}
	return broker.Group{Name: b.group + "." + h.name, Topics: h.o.Topics, FromStart: b.o.FromStart}
}

// groups are the consumer groups of the bus.
func (b *Bus) groups() []broker.Group {
	if b.o.Dispatch == Sequential && len(b.handlers) > 0 {
		return []broker.Group{b.groupOf(b.handlers[0])}
	}
	groups := make([]broker.Group, len(b.handlers))
	for i, h := range b.handlers {
		groups[i] = b.groupOf(h)
	}
	return groups
}

// Declare ends the registration of handlers, and makes the bus's groups known to the broker, so that what is published
// from now on is kept for them. Publish and Run do it too. A handler of a type that is not registered is an error, which
// names it.
func (b *Bus) Declare(ctx context.Context) error {
	if b.declared.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.declared.Load() {
		return nil
	}
	b.begun = true
	var faults []error
	for _, h := range b.handlers {
		if err := h.start(b.middleware); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for _, g := range b.groups() {
		if err := b.broker.Declare(ctx, g); err != nil {
			return err
		}
	}
	b.assignPlaces()
	b.declared.Store(true)
	return nil
}

// Use adds middleware around the calls of all handlers. The first added is the outermost. After the bus has begun it is
// an error, ErrLate.
func (b *Bus) Use(middleware ...Middleware) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		return fmt.Errorf("add middleware to event bus %s: %w", b.group, ErrLate)
	}
	for i, m := range middleware {
		if m == nil {
			return fmt.Errorf("add middleware to event bus %s: number %d is nil", b.group, i+1)
		}
	}
	b.middleware = append(b.middleware, middleware...)
	return nil
}

func (b *Bus) add(h *handler) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		return ErrLate
	}
	for _, other := range b.handlers {
		if other.name == h.name {
			return fmt.Errorf("%w, by the handler of %s", ErrDuplicateHandler, other.takes)
		}
	}
	b.handlers = append(b.handlers, h)
	return nil
}
