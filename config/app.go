package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events"
	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/middleware/querycache"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/stream"
)

// App is an engine with the parts that a configuration asks for. Register handlers, projections, sagas and further parts,
// then Run it. It is safe for concurrent use.
type App struct {
	*events.Engine
	config  *Config
	logger  *slog.Logger
	metrics prometheus.Gatherer
	hooks   observe.Hooks
	bus     *eventbus.Bus
	cache   *querycache.Cache
	voids   map[string][]string // Options.VoidedBy
	feed    *stream.Feed
	turn    sync.Mutex // of projections, one at a time

	mu          sync.Mutex // guards what follows
	projections []*projection.Projection
	running     bool
}

// Config gives a copy of the configuration.
func (a *App) Config() *Config { return a.config.Clone() }

// Env is the environment: "production", "development", "test", or "".
func (a *App) Env() string { return a.config.Env }

// Logger gives the logger.
func (a *App) Logger() *slog.Logger { return a.logger }

// Metrics gives what promhttp serves: all metrics, or nil where they are registered elsewhere, with Options.Metrics.
func (a *App) Metrics() prometheus.Gatherer { return a.metrics }

// Bus gives the event bus.
func (a *App) Bus() *eventbus.Bus { return a.bus }

// QueryCache gives the cache of query results, which Options.VoidedBy belongs to; nil where query_bus.enable_caching is
// false. While the App runs, the events that Options.VoidedBy names make its results void.
func (a *App) QueryCache() *querycache.Cache { return a.cache }

// AggregateOptions are those of repositories and deciders: snapshots and the cache.
func (a *App) AggregateOptions() aggregate.Options {
	c := a.config
	o := aggregate.Options{Snapshots: a.snapshots()}
	if c.EventSourcing.AggregateCacheEnabled {
		o.Cache, o.CacheTTL = c.EventSourcing.AggregateCacheSize, c.EventSourcing.AggregateCacheTTL
	}
	return o
}

// snapshots gives nil where there are none.
func (a *App) snapshots() *aggregate.Snapshots {
	c := a.config
	if !c.Snapshots.Enabled || c.EventStoreBackend == "memory" && !c.Memory.EnableSnapshots {
		return nil
	}
	s := &aggregate.Snapshots{
		Every: -1, Keep: c.Snapshots.MaxSnapshotsPerAggregate, Bucket: c.snapshotBucket(),
		OnError: func(ctx context.Context, stream event.StreamID, err error) {
			a.logger.WarnContext(ctx, "snapshot", slog.String("stream", string(stream)), slog.Any("error", err))
		},
	}
	switch c.Snapshots.Strategy {
	case "event_count":
		s.Every = c.Snapshots.EventCountThreshold
	case "time_based":
		s.MaxAge = c.Snapshots.TimeThreshold
	}
	return s
}

// snapshotBucket is "" for the usual one.
func (c *Config) snapshotBucket() string {
	name := map[string]string{"postgres": c.Postgres.SnapshotsTable, "mongodb": c.MongoDB.SnapshotsCollection}[c.EventStoreBackend]
	if name == "snapshots" {
		return ""
	}
	return name
}

// ProjectionOptions are those of projections, to which a program adds its own, such as Version.
func (a *App) ProjectionOptions() projection.Options {
	p := a.config.Projection
	o := projection.Options{
		BatchEvents: p.BatchSize, RebuildBatchEvents: p.RebuildBatchSize, InlineCatchUp: p.MaxCatchUpEvents,
		CheckpointEvery: p.CheckpointInterval, Hooks: a.hooks, OnError: a.onError("projection"),
	}
	if !p.EnableParallelProjections {
		o.Exclusive = &a.turn
	}
	return o
}

// AddProjections adds projections, before Run. Those that the configuration does not enable are left out.
func (a *App) AddProjections(projections ...*projection.Projection) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		return fmt.Errorf("add projections: %w", events.ErrRunning)
	}
	a.projections = append(a.projections, projections...)
	return nil
}

// SagaOptions are those of sagas.
func (a *App) SagaOptions() saga.Options {
	s := a.config.Saga
	return saga.Options{
		Timeout:           s.DefaultTimeout,
		Retry:             saga.Retry{Attempts: s.MaxRetriesPerStep + 1, Initial: s.RetryDelay},
		CompensationRetry: saga.Retry{Initial: s.RetryDelay},
		NoCompensation:    !s.EnableCompensation, Retention: s.CleanupCompletedAfter, Hooks: a.hooks, OnError: a.onError("saga"),
	}
}

// AddSagas makes a set of sagas, once, with all that this process runs or starts, before Run. Where saga.enabled is false
// it can start them, for other processes to run.
func (a *App) AddSagas(definitions ...saga.Definer) (*saga.Set, error) {
	if !a.config.Saga.Enabled {
		return saga.NewSet(a.Store(), a.SagaOptions(), definitions...)
	}
	return a.Engine.AddSagas(a.SagaOptions(), definitions...)
}

// group is the name under which the service takes events.
func (c *Config) group() string {
	switch {
	case c.EventBus.Group != "":
		return c.EventBus.Group
	case c.EventBus.Backend == "kafka":
		return c.Kafka.ConsumerGroup
	case c.EventBus.Backend == "rabbitmq":
		return c.RabbitMQ.QueuePrefix
	default:
		return c.Name
	}
}

// topic is where events are published.
func (c *Config) topic() string {
	switch {
	case c.EventBus.Backend != "kafka":
		return c.EventBus.Topic
	case c.given("event_bus.topic"):
		return c.Kafka.TopicPrefix + "." + c.EventBus.Topic
	default:
		return c.Kafka.TopicPrefix
	}
}

// unboundedQueue stands for no bound: RabbitMQ counts no further.
const unboundedQueue = 65535

func (a *App) busOptions(hooks observe.Hooks) eventbus.Options {
	c, b := a.config, a.config.EventBus
	o := eventbus.Options{
		Store: a.Store(), DropFailed: !b.EnableDeadLetter, Topic: c.topic(), Source: "/" + c.Name,
		StopOnError: !b.ContinueOnError, MaxConcurrentHandlers: b.MaxConcurrentHandlers, HandlerTimeout: b.HandlerTimeout,
		Retry: broker.Retry{Attempts: 1}, MaxQueue: b.MaxQueuePerSubscriber, RequireHandlers: !b.AllowNoHandlers,
		FromStart: b.Backend == "kafka" && c.Kafka.AutoOffsetReset == "earliest",
		Hooks:     hooks, OnError: a.onError("event bus"),
	}
	if !b.ParallelDispatch {
		o.Dispatch = eventbus.Sequential
	}
	if b.RetryFailedHandlers {
		o.Retry = c.pauses(b.MaxHandlerRetries, c.RetryMiddleware.InitialDelay)
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = unboundedQueue
	}
	if b.Backend == "rabbitmq" {
		o.MaxQueue = min(o.MaxQueue, c.RabbitMQ.PrefetchCount)
	}
	return o
}

// relayOptions are those of the outbox's relay.
func (a *App) relayOptions() outbox.Options {
	o, topic, source := a.config.Outbox, a.config.topic(), "/"+a.config.Name
	return outbox.Options{
		Map: func(e event.Recorded) ([]broker.Message, error) {
			if strings.HasPrefix(e.Stream.Category(), "saga_") { // the journal of a saga
				return nil, nil
			}
			m, err := outbox.CloudEvent(e, source, topic)
			return []broker.Message{m}, err
		},
		BatchEvents: o.BatchSize, PollInterval: o.PollInterval, OnError: a.onError("outbox"),
	}
}

// Run adds what the configuration asks for to the engine, and runs it until ctx ends or it is closed; see events.Engine.Run.
func (a *App) Run(ctx context.Context) error {
	a.mu.Lock()
	again := a.running
	a.running = true
	projections := a.projections
	a.mu.Unlock()
	if again {
		return fmt.Errorf("run the engine: %w", events.ErrRunning)
	}
	runners, err := a.prepare(ctx, projections)
	if err == nil {
		err = a.AddRunners(runners...)
	}
	switch {
	case err == nil:
		return a.Engine.Run(ctx)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()): // stopped before it had begun
		return nil
	default:
		return fmt.Errorf("run the engine: %w", err)
	}
}

// prepare gives the parts that the configuration asks for.
func (a *App) prepare(ctx context.Context, projections []*projection.Projection) ([]events.Runner, error) {
	runners := []events.Runner{a.feed}
	if a.cache != nil && len(a.voids) > 0 {
		runners = append(runners, &voids{
			log: a.Store(), cache: a.cache, voidedBy: a.voids, projections: projections, onError: a.onError("query cache"),
		})
	}
	if a.config.Handlers.Enabled && len(a.bus.Handlers()) > 0 {
		if err := a.bus.Declare(ctx); err != nil { // before the outbox publishes
			return nil, err
		}
		runners = append(runners, a.bus)
	}
	if a.config.Outbox.Enabled {
		relay, err := outbox.NewRelay(a.Store(), a.config.Outbox.Table, a.Broker(), a.DeadLetters(), a.relayOptions())
		if err != nil {
			return nil, err
		}
		runners = append(runners, relay)
	}
	set, err := a.set(ctx, projections)
	if set != nil {
		runners = append(runners, set)
	}
	return runners, err
}

// set makes a set of the projections that run here, and has those rebuilt that are to be at each start; nil: none run.
func (a *App) set(ctx context.Context, projections []*projection.Projection) (*projection.Set, error) {
	var rebuilt []string
	for _, m := range a.config.Projection.ReadModels {
		i := slices.IndexFunc(projections, func(p *projection.Projection) bool { return p.Name() == m.Name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("projection.read_models (%s): there is no projection %q", a.config.Origin("projection.read_models"), m.Name)
		case !m.Enabled:
			projections = slices.Delete(slices.Clone(projections), i, i+1)
		case m.RebuildOnStartup:
			rebuilt = append(rebuilt, m.Name)
		}
	}
	if !a.config.Projection.Enabled || len(projections) == 0 {
		return nil, nil
	}
	set, err := projection.NewSet(projections...)
	if err != nil {
		return nil, err
	}
	if err := set.Prepare(ctx); err != nil {
		return nil, err
	}
	control := projection.NewControl(a.Store())
	for _, name := range rebuilt {
		if _, err := control.Rebuild(ctx, name, projection.RebuildOptions{}); err != nil && !errors.Is(err, projection.ErrBuilding) {
			return nil, err
		}
	}
	return set, nil
}
