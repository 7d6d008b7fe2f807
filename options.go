package events

import (
	"errors"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// Options are the settings of an Engine; the zero value works.
type Options struct {
	// Backend is where everything durable is kept. The engine owns it: closing the engine closes it. Defaults to a new
	// memory backend, which forgets everything when the process ends.
	Backend store.Backend

	// Broker carries messages to other parts and services. The engine owns it. Defaults to a new broker in this process,
	// which forgets everything when the process ends.
	Broker broker.Backend

	// Limits bound what the store accepts. Zero fields mean the defaults that store.Limits documents.
	Limits store.Limits

	// Schema is the registry of event types. Defaults to a new, empty one.
	Schema *schema.Registry

	// Hooks watch the store, the buses and the broker; each implements at least one of the hook interfaces of package observe.
	// Defaults to none.
	Hooks []any

	// CommandTimeout and QueryTimeout bound each dispatch. Default to none.
	CommandTimeout, QueryTimeout time.Duration

	// Now gives the time at which events occur. Defaults to time.Now.
	Now func() time.Time

	// NewID makes ids: of events that are appended without one, and correlation ids. Defaults to event.NewID.
	NewID func() event.ID
}

func (o Options) withDefaults() Options {
	if o.Backend == nil {
		o.Backend = memstore.New(memstore.Options{})
	}
	if o.Broker == nil {
		o.Broker = membroker.New(membroker.Options{})
	}
	if o.Schema == nil {
		o.Schema = schema.NewRegistry()
	}
	return o
}

func (o Options) validate() error {
	if o.CommandTimeout < 0 || o.QueryTimeout < 0 {
		return errors.New("the timeouts must not be negative")
	}
	return nil
}
