package events

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/query"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Engine holds the parts of an event-sourced program. It is safe for concurrent use.
type Engine struct {
	store    *store.Store
	schema   *schema.Registry
	commands *command.Bus
	queries  *query.Bus
	broker   *broker.Broker
	letters  *deadletter.Letters
	now      func() time.Time // nil: time.Now
	close    func() error     // does its work once

	mu      sync.Mutex // guards what follows
	parts   []*part
	sagas   *saga.Set          // nil: none
	stop    context.CancelFunc // of Run; nil before
	stopped chan struct{}      // closed when Run has returned
	closed  bool
}

// New makes an engine. It does no I/O. If it fails, the backend is still the caller's.
func New(o Options) (*Engine, error) {
	hooks, badHooks := observe.NewHooks(o.Hooks...)
	if err := errors.Join(badHooks, o.validate()); err != nil {
		return nil, fmt.Errorf("make the engine: %w", err)
	}
	return assemble(o.withDefaults(), hooks), nil
}

// Stub makes an engine in memory, for tests. It is what New makes of zero Options, without an error to check.
func Stub() *Engine { return assemble(Options{}.withDefaults(), observe.Hooks{}) }

func assemble(o Options, hooks observe.Hooks) *Engine {
	events := store.New(o.Backend, store.Options{Limits: o.Limits, Hooks: hooks, Now: o.Now, NewID: o.NewID})
	e := &Engine{
		store:    events,
		schema:   o.Schema,
		commands: command.NewBus(command.Options{Timeout: o.CommandTimeout, Hooks: hooks, NewID: o.NewID}),
		queries:  query.NewBus(query.Options{Timeout: o.QueryTimeout, Hooks: hooks, NewID: o.NewID}),
		broker:   broker.New(o.Broker, broker.Options{Hooks: hooks, Now: o.Now}),
		letters:  deadletter.New(events, deadletter.Options{Now: o.Now}),
		now:      o.Now,
		stopped:  make(chan struct{}),
	}
	e.close = sync.OnceValue(e.shutDown)
	return e
}

// Store gives the store of events and records.
func (e *Engine) Store() *store.Store { return e.store }

// Schema gives the registry of event types.
func (e *Engine) Schema() *schema.Registry { return e.schema }

// Commands gives the command bus.
func (e *Engine) Commands() *command.Bus { return e.commands }

// Queries gives the query bus.
func (e *Engine) Queries() *query.Bus { return e.queries }

// Broker gives the message broker.
func (e *Engine) Broker() *broker.Broker { return e.broker }

// DeadLetters gives what could not be handled.
func (e *Engine) DeadLetters() *deadletter.Letters { return e.letters }

// Close stops Run, waits until it has returned, and closes the broker and, last, the store. Calling it again gives the same
// answer and does nothing. It must not be called by a part of Run, which it would wait for.
func (e *Engine) Close() error { return e.close() }

func (e *Engine) shutDown() error {
	e.mu.Lock()
	e.closed = true
	stop := e.stop
	e.mu.Unlock()
	if stop != nil {
		stop()
		<-e.stopped
	}
	return errors.Join(e.broker.Close(), e.store.Close())
}
