package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/stream"
)

// Options are what a program brings that no file can say; the zero value works for the memory backends alone.
type Options struct {
	// Stores and Brokers are the drivers that the configuration can name: drivers.All() and drivers.Brokers(), or the few
	// that the program needs. Those for memory are always there. Default to these alone.
	Stores  []store.Driver
	Brokers []broker.Driver

	// Schema is the registry of event types. Defaults to a new, empty one.
	Schema *schema.Registry

	// Logger takes all logs. Defaults to one for standard error, at the level and in the form that debug and env say.
	Logger *slog.Logger

	// Metrics is where metrics are registered. Defaults to a registry of its own, which App.Metrics gives.
	Metrics prometheus.Registerer

	// Hooks watch the engine, beside those that the configuration asks for; see events.Options. Defaults to none.
	Hooks []any

	// Middleware changes the middleware that the configuration asks for, which is given from the outside in: it may add
	// its own anywhere, leave some out, and order them anew. It is called for commands, queries and events each. Defaults
	// to nil: they stay as they are.
	Middleware func(kind middleware.Kind, steps []Step) []Step

	// VoidedBy names the event types that make cached results of a query void, while the App runs; see package querycache.
	// Defaults to none.
	VoidedBy map[string][]string
}

// Open makes an engine of a configuration: it opens the store and the broker, and sets up the buses. The context bounds the
// opening. Handlers, projections, sagas and subscriptions are registered after it, and before App.Run.
func Open(ctx context.Context, c *Config, o Options) (*App, error) {
	c = c.Clone()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if !c.Enabled {
		return nil, fmt.Errorf("open: %w (%s)", ErrDisabled, c.Origin("enabled"))
	}
	logger := c.logger(o.Logger)
	registerer, gatherer := registry(o.Metrics)
	w, err := c.watch(logger, registerer, o.Hooks)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	storage, err := c.openStore(ctx, withMemory(o.Stores, memstore.Driver(), func(d store.Driver) []string { return d.Schemes }))
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	messages, err := c.openBroker(ctx, withMemory(o.Brokers, membroker.Driver(), func(d broker.Driver) []string { return d.Schemes }), logger)
	if err != nil {
		return nil, fmt.Errorf("open: %w", errors.Join(err, storage.Close()))
	}
	engine, err := events.New(events.Options{
		Backend: storage, Broker: messages, Schema: o.Schema, Hooks: w.hooks, Limits: c.limits(),
		CommandTimeout: c.CommandBus.Timeout, QueryTimeout: c.QueryBus.Timeout,
	})
	if err != nil {
		return nil, fmt.Errorf("open: %w", errors.Join(err, messages.Close(), storage.Close()))
	}
	app := &App{Engine: engine, config: c, logger: logger, metrics: gatherer}
	if err := app.assemble(w, o); err != nil {
		return nil, fmt.Errorf("open: %w", errors.Join(err, engine.Close()))
	}
	return app, nil
}

// withMemory adds the driver for memory where none is given.
func withMemory[D any](given []D, memory D, schemes func(D) []string) []D {
	if slices.ContainsFunc(given, func(d D) bool { return slices.Contains(schemes(d), "memory") }) {
		return given
	}
	return append(slices.Clone(given), memory)
}

// openStore opens the store.
func (c *Config) openStore(ctx context.Context, drivers []store.Driver) (store.Backend, error) {
	u, err := c.storeURL()
	if err != nil {
		return nil, err
	}
	backend, err := store.OpenURL(ctx, u, drivers, c.StoreOptions())
	if err != nil {
		return nil, fmt.Errorf("event_store_backend %s: %w", c.EventStoreBackend, err)
	}
	return backend, nil
}

// openBroker connects to the broker, as often as the section of it says.
func (c *Config) openBroker(ctx context.Context, drivers []broker.Driver, logger *slog.Logger) (broker.Backend, error) {
	u, err := c.brokerURL()
	if err != nil {
		return nil, err
	}
	attempts, delay, timeout := 1, time.Duration(0), time.Duration(0)
	switch c.EventBus.Backend {
	case "rabbitmq":
		attempts, delay, timeout = 1+c.RabbitMQ.ReconnectAttempts, c.RabbitMQ.ReconnectDelay, c.RabbitMQ.Timeout
	case "kafka":
		attempts, delay, timeout = 1+c.Kafka.ReconnectAttempts, c.Kafka.ReconnectDelay, c.Kafka.Timeout
	}
	for attempt := 1; ; attempt++ {
		backend, err := openWithin(ctx, timeout, u, drivers)
		if err == nil {
			return backend, nil
		}
		again := errors.Is(err, broker.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
		if !again || attempt >= attempts || ctx.Err() != nil {
			return nil, fmt.Errorf("event_bus.backend %s: %w", c.EventBus.Backend, err)
		}
		logger.Warn("the broker does not answer", slog.Int("attempt", attempt), slog.Duration("again_in", delay), slog.Any("error", err))
		if !wait(ctx, delay) {
			return nil, fmt.Errorf("event_bus.backend %s: %w", c.EventBus.Backend, err)
		}
	}
}

func openWithin(ctx context.Context, timeout time.Duration, u string, drivers []broker.Driver) (broker.Backend, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return broker.OpenURL(ctx, u, drivers)
}

// wait reports false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Config) limits() store.Limits {
	if c.EventStoreBackend == "postgres" {
		return store.Limits{MaxCommitEvents: c.Postgres.BatchSize}
	}
	return store.Limits{}
}

// registry gives where metrics go, and where they can be read: nil where the program's own cannot.
func registry(given prometheus.Registerer) (prometheus.Registerer, prometheus.Gatherer) {
	if given == nil {
		own := prometheus.NewRegistry()
		return own, own
	}
	gatherer, _ := given.(prometheus.Gatherer)
	return given, gatherer
}

// assemble sets the buses up.
func (a *App) assemble(w *watch, o Options) error {
	kit, err := a.newKit(w, o.VoidedBy)
	if err != nil {
		return err
	}
	hooks, err := observe.NewHooks(w.hooks...)
	if err != nil {
		return err
	}
	if !a.config.VersionSkewAlertsEnabled {
		hooks = hooks.WithoutSkewAlerts()
	}
	a.hooks = hooks
	a.feed = stream.New(a.Store(), a.streamOptions())
	if a.bus, err = eventbus.New(a.Broker(), a.Schema(), a.config.group(), a.busOptions(hooks)); err != nil {
		return err
	}
	change := o.Middleware
	if change == nil {
		change = func(_ middleware.Kind, steps []Step) []Step { return steps }
	}
	a.cache, a.voids = kit.cache, maps.Clone(o.VoidedBy)
	return errors.Join(
		a.Commands().Use(middleware.Commands(bare(change(middleware.Command, kit.commands()))...)),
		a.Queries().Use(middleware.Queries(bare(change(middleware.Query, kit.queries()))...)),
		a.bus.Use(middleware.Events(bare(change(middleware.Event, kit.events()))...)),
	)
}
