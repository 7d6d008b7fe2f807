package config

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"
)

// Config is all that can be set. Make one by Load or Default; the zero value is not valid. The tags of each field say its
// key, its default and its rule; "only" marks keys of which one value alone makes sense here, "why" says why.
type Config struct {
	// Name of the service: in logs, as the source of published events, and as the default of event_bus.group.
	Name string `koanf:"name" default:"events" form:"name"`

	// Whether there is an engine at all. False: Open gives ErrDisabled, and the program decides what that means.
	Enabled bool `koanf:"enabled" default:"true"`

	// Where events are kept. All but memory need their section.
	EventStoreBackend string `koanf:"event_store_backend" default:"memory" enum:"memory,postgres|postgresql,sqlite,mongodb|mongo,redis"`

	// Log at level debug, each append, read, dispatch and message included; otherwise at info.
	Debug bool `koanf:"debug" default:"false"`

	// The environment. In production logs are JSON, elsewhere text; App.Env gives it to the program.
	Env string `koanf:"env" default:"" enum:"production|prod,development|dev,test|testing"`

	// Tell of each event that this program cannot read, since a newer release has written it: an error in the log, and all
	// hooks for that. Such events are set aside in any case.
	VersionSkewAlertsEnabled bool `koanf:"version_skew_alerts_enabled" default:"true"`

	// A pool of connections of the program's own.
	UseDatabaseProvider bool `koanf:"use_database_provider" default:"false" only:"false" why:"a pool of the program's own is given by code: events.Options.Backend with pgstore.New"`

	Postgres  Postgres  `koanf:"postgres"`
	MongoDB   MongoDB   `koanf:"mongodb"`
	Redis     Redis     `koanf:"redis"`
	SQLite    SQLite    `koanf:"sqlite"`
	Memory    Memory    `koanf:"memory"`
	Snapshots Snapshots `koanf:"snapshots"`

	EventSourcing EventSourcing `koanf:"event_sourcing"`

	CommandBus CommandBus `koanf:"command_bus"`
	QueryBus   QueryBus   `koanf:"query_bus"`
	EventBus   EventBus   `koanf:"event_bus"`
	Handlers   Handlers   `koanf:"handlers"`
	RabbitMQ   RabbitMQ   `koanf:"rabbitmq"`
	Kafka      Kafka      `koanf:"kafka"`
	NATS       NATS       `koanf:"nats"`

	Saga       Saga       `koanf:"saga"`
	Projection Projection `koanf:"projection"`
	Outbox     Outbox     `koanf:"outbox"`
	Streaming  Streaming  `koanf:"streaming"`

	LoggingMiddleware        LoggingMiddleware        `koanf:"logging_middleware"`
	ValidationMiddleware     ValidationMiddleware     `koanf:"validation_middleware"`
	TransactionMiddleware    TransactionMiddleware    `koanf:"transaction_middleware"`
	RetryMiddleware          RetryMiddleware          `koanf:"retry_middleware"`
	MetricsMiddleware        MetricsMiddleware        `koanf:"metrics_middleware"`
	CircuitBreakerMiddleware CircuitBreakerMiddleware `koanf:"circuit_breaker_middleware"`

	loaded map[string]loaded // what Load has found, by key; the rest are defaults
}

// loaded says where a value was loaded from, and by its sum whether it is still the same. It is not the value, which could
// be a secret that is printed with the rest of a Config.
type loaded struct {
	origin Origin
	seed   maphash.Seed
	sum    uint64
}

func newLoaded(origin Origin, value any) loaded {
	l := loaded{origin: origin, seed: maphash.MakeSeed()}
	l.sum = l.of(value)
	return l
}

// of gives the sum of a value.
func (l loaded) of(value any) uint64 {
	if secret, ok := value.(Secret); ok {
		return maphash.String(l.seed, string(secret))
	}
	return maphash.String(l.seed, fmt.Sprint(value))
}

// Default gives the configuration without any file or variable.
func Default() *Config {
	c := &Config{}
	for _, k := range keys() {
		k.field(c).Set(k.initial)
	}
	return c
}

// Clone copies the configuration.
func (c *Config) Clone() *Config {
	clone := *c
	clone.SQLite.Pragmas = maps.Clone(c.SQLite.Pragmas)
	clone.Projection.ReadModels = slices.Clone(c.Projection.ReadModels)
	clone.MetricsMiddleware.HistogramBuckets = slices.Clone(c.MetricsMiddleware.HistogramBuckets)
	clone.Kafka.BootstrapServers = slices.Clone(c.Kafka.BootstrapServers)
	return &clone
}

// EventSourcing is about aggregates.
type EventSourcing struct {
	// Expected versions are checked with each append.
	Versioning bool `koanf:"versioning" default:"true" only:"true" why:"an append without a check of the version would lose the changes of others"`

	// Keep aggregates in memory between commands: App.AggregateOptions has a cache.
	AggregateCacheEnabled bool `koanf:"aggregate_cache_enabled" default:"false"`

	// How long an aggregate may stay in the cache, from its last use.
	AggregateCacheTTL time.Duration `koanf:"aggregate_cache_ttl" default:"300" unit:"s" min:"1"`

	// How many aggregates of each kind the cache holds; the least recently used go first.
	AggregateCacheSize int `koanf:"aggregate_cache_size" default:"1000" min:"1"`
}
