package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate reports all that is wrong with the values as one *Error. Load and Open do it.
func (c *Config) Validate() error {
	f := c.check()
	return f.err()
}

// checker looks for faults of a configuration's values.
type checker struct {
	*Config
	keys   map[string]*key
	faults faults
}

func (c *Config) check() faults {
	k := &checker{Config: c, keys: newNames().keys}
	all := keys()
	for i := range all {
		k.one(&all[i])
	}
	k.stores()
	k.brokers()
	k.rest()
	return k.faults
}

// fault reports a fault of a key.
func (c *checker) fault(path, format string, args ...any) {
	origin := c.Origin(path)
	if origin == FromDefault || origin == FromCode {
		origin = ""
	}
	c.faults.add(string(origin), path, format, args...)
}

// need reports a key that is missing, and because of which other one.
func (c *checker) need(path, because string) {
	if c.keys[path].field(c.Config).IsZero() {
		c.fault(path, "is required, since %s is %s (%s)", because, c.keys[because].show(c.Config), c.Origin(because))
	}
}

// one checks a value by itself.
func (c *checker) one(k *key) {
	value := k.field(c.Config)
	switch {
	case k.only != "" && fmt.Sprint(value.Interface()) != k.only:
		c.fault(k.path, "must be %s: %s", k.only, k.why)
	case k.enum != nil && !slices.ContainsFunc(k.enum, func(spellings []string) bool { return spellings[0] == value.String() }):
		if value.String() == k.text {
			return // an optional choice that was not made
		}
		var names []string
		for _, spellings := range k.enum {
			names = append(names, spellings[0])
		}
		c.fault(k.path, "must be one of %s, not %.60q", strings.Join(names, ", "), value.String())
		c.faults[len(c.faults)-1].Nearest = nearest(value.String(), names)
	case k.form.pattern != nil && !k.form.pattern.MatchString(value.String()):
		c.fault(k.path, "%s", k.form.text)
	case k.min.IsValid() && less(value, k.min):
		c.fault(k.path, "must be at least %v, not %v", k.min.Interface(), value.Interface())
	case k.max.IsValid() && less(k.max, value):
		c.fault(k.path, "must be at most %v, not %v", k.max.Interface(), value.Interface())
	}
}

func less(a, b reflect.Value) bool {
	if a.CanFloat() {
		return !(a.Float() >= b.Float())
	}
	return a.Int() < b.Int()
}

// stores checks the sections of the stores.
func (c *checker) stores() {
	needs := map[string]string{"postgres": "postgres.dsn", "mongodb": "mongodb.connection_string", "redis": "redis.url"}
	if path, ok := needs[c.EventStoreBackend]; ok {
		c.need(path, "event_store_backend")
	}
	c.schemes("postgres.dsn", string(c.Postgres.url()), "postgres://", "postgresql://")
	c.schemes("mongodb.connection_string", string(c.MongoDB.ConnectionString), "mongodb://", "mongodb+srv://")
	c.schemes("redis.url", string(c.Redis.URL), "redis://", "rediss://")
	if c.Postgres.PoolMinSize > c.Postgres.PoolMaxSize {
		c.fault("postgres.pool_min_size", "must not be more than postgres.pool_max_size, %d", c.Postgres.PoolMaxSize)
	}
	if c.Postgres.EventsTable != "events" && c.given("postgres.schema") && c.Postgres.Schema != c.Postgres.EventsTable {
		c.fault("postgres.events_table", "must be events where postgres.schema is set: a store's tables have fixed names in a schema of its own")
	}
	if strings.ContainsAny(c.SQLite.Database, "?\x00") {
		c.fault("sqlite.database", "must not contain a question mark")
	}
	c.pragmas()
	if _, err := c.storeURL(); err != nil {
		c.fault(c.storeKey(), "%v", err)
	}
}

// pragmas checks SQLite's settings.
func (c *checker) pragmas() {
	for _, name := range sortedNames(c.SQLite.Pragmas) {
		value := c.SQLite.Pragmas[name]
		_, err := strconv.Atoi(value)
		switch strings.ToLower(name) {
		case "synchronous":
			if v := strings.ToLower(value); v != "full" && v != "normal" {
				c.fault("sqlite.pragmas", "synchronous must be full or normal, not %.40q", value)
			}
		case "busy_timeout", "cache_size":
			if err != nil {
				c.fault("sqlite.pragmas", "%s must be a whole number, not %.40q", name, value)
			}
		default:
			c.fault("sqlite.pragmas", "%s is the store's own; there are synchronous, busy_timeout and cache_size", name)
		}
	}
}

// brokers checks the event bus and the sections of the brokers.
func (c *checker) brokers() {
	switch c.EventBus.Backend {
	case "redis":
		if c.Redis.URL == "" {
			c.need("event_bus.redis.url", "event_bus.backend")
		}
	case "rabbitmq":
		c.need("rabbitmq.url", "event_bus.backend")
	case "kafka":
		c.need("kafka.bootstrap_servers", "event_bus.backend")
	case "nats":
		c.need("nats.url", "event_bus.backend")
	}
	c.schemes("event_bus.redis.url", string(c.EventBus.Redis.URL), "redis://", "rediss://")
	c.schemes("rabbitmq.url", string(c.RabbitMQ.URL), "amqp://", "amqps://")
	c.schemes("nats.url", string(c.NATS.URL), "nats://", "tls+nats://")
	if c.EventBus.Group != "" && !forms()["name"].pattern.MatchString(c.EventBus.Group) {
		c.fault("event_bus.group", "%s", forms()["name"].text)
	}
	if !c.EventBus.ContinueOnError && c.EventBus.ParallelDispatch {
		c.fault("event_bus.continue_on_error", "must be true where event_bus.parallel_dispatch is: handlers that run in parallel do not know of each other")
	}
	if (c.Kafka.Username == "") != (c.Kafka.Password == "") {
		c.fault("kafka.username", "and kafka.password must be given together")
	}
	for _, host := range c.Kafka.BootstrapServers {
		if strings.ContainsAny(host, "/@?#") || host == "" {
			c.fault("kafka.bootstrap_servers", "must be hosts with ports: user, password and TLS have keys of their own")
			break
		}
	}
	if _, err := c.brokerURL(); err != nil {
		c.fault(c.brokerKey(), "%v", err)
	}
}

func (c *checker) schemes(path, url string, schemes ...string) {
	if url == "" || slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(url, s) }) {
		return
	}
	c.fault(path, "must begin with %s", strings.Join(schemes, " or "))
}

// rest checks what belongs together elsewhere.
func (c *checker) rest() {
	for _, pause := range []struct {
		path string
		d    time.Duration
	}{
		{"retry_middleware.initial_delay_seconds", c.RetryMiddleware.InitialDelay},
		{"command_bus.retry_delay_seconds", c.CommandBus.RetryDelay},
	} {
		if pause.d > c.RetryMiddleware.MaxDelay {
			c.fault(pause.path, "must not be more than retry_middleware.max_delay_seconds, %v", c.RetryMiddleware.MaxDelay)
		}
	}
	buckets := c.MetricsMiddleware.HistogramBuckets
	if len(buckets) == 0 || !slices.IsSorted(buckets) || len(slices.Compact(slices.Clone(buckets))) != len(buckets) {
		c.fault("metrics_middleware.histogram_buckets", "must be numbers, each greater than the one before")
	}
	seen := map[string]bool{}
	for _, m := range c.Projection.ReadModels {
		if seen[m.Name] {
			c.fault("projection.read_models", "names %q twice", m.Name)
		}
		seen[m.Name] = true
	}
}
