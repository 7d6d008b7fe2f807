package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lexigram.dev/events/store"
)

// StoreURL gives the URL of the store for store.OpenURL, with what the sections say as parameters. It is a secret.
func (c *Config) StoreURL() (Secret, error) {
	u, err := c.storeURL()
	return Secret(u), err
}

// BrokerURL gives the URL of the broker for broker.OpenURL. It is a secret.
func (c *Config) BrokerURL() (Secret, error) {
	u, err := c.brokerURL()
	return Secret(u), err
}

// StoreOptions are what the store is opened with.
func (c *Config) StoreOptions() store.OpenOptions {
	return store.OpenOptions{AutoMigrate: map[string]bool{
		"postgres": c.Postgres.AutoCreateTables, "sqlite": c.SQLite.AutoCreateTables,
		"mongodb": c.MongoDB.AutoCreateIndexes, "redis": c.Redis.AutoCreate,
	}[c.EventStoreBackend]}
}

// storeKey is the key that a fault of the store's URL belongs to.
func (c *Config) storeKey() string {
	switch c.EventStoreBackend {
	case "postgres":
		return "postgres.dsn"
	case "mongodb":
		return "mongodb.connection_string"
	case "redis":
		return "redis.url"
	default:
		return "sqlite.database"
	}
}

func (c *Config) storeURL() (string, error) {
	switch c.EventStoreBackend {
	case "postgres":
		p := &c.Postgres
		return c.with(string(p.url()), parameters{
			{"schema", "postgres.schema", p.place()},
			{"pool_min_conns", "postgres.pool_min_size", strconv.Itoa(p.PoolMinSize)},
			{"pool_max_conns", "postgres.pool_max_size", strconv.Itoa(p.PoolMaxSize)},
			{"statement_timeout", "postgres.command_timeout", milliseconds(p.CommandTimeout)},
		})
	case "mongodb":
		return c.mongoURL()
	case "redis":
		r := &c.Redis
		return c.with(string(r.URL), parameters{
			{"name", "redis.name", r.Name},
			{"pool_size", "redis.pool_size", strconv.Itoa(r.PoolSize)},
			{"require_durable", "redis.require_durable", strconv.FormatBool(r.RequireDurable)},
		})
	case "sqlite":
		var p parameters
		for _, name := range sortedNames(c.SQLite.Pragmas) {
			value := strings.ToLower(c.SQLite.Pragmas[name])
			if name = strings.ToLower(name); name == "busy_timeout" {
				value += "ms"
			}
			p = append(p, parameter{name, "sqlite.pragmas", value})
		}
		return c.with("sqlite:"+c.SQLite.Database, p)
	default:
		return fmt.Sprintf("memory:?max_events_per_stream=%d", c.Memory.MaxEventsPerStream), nil
	}
}

// url is the DSN without the marks of Python's drivers.
func (p *Postgres) url() Secret {
	scheme, rest, found := strings.Cut(string(p.DSN), "://")
	for _, driver := range []string{"+asyncpg", "+psycopg2", "+psycopg"} {
		scheme = strings.TrimSuffix(scheme, driver)
	}
	if !found {
		return p.DSN
	}
	return Secret(scheme + "://" + rest)
}

// place is the schema.
func (p *Postgres) place() string {
	if p.EventsTable != "events" {
		return p.EventsTable
	}
	return p.Schema
}

// mongoURL puts the database into the path. Where the URL names none, the user is one of the database admin, and stays so.
func (c *Config) mongoURL() (string, error) {
	m := &c.MongoDB
	front, query, _ := strings.Cut(string(m.ConnectionString), "?")
	p := parameters{
		{"prefix", "mongodb.events_collection", m.EventsCollection},
		{"maxPoolSize", "mongodb.max_pool_size", strconv.Itoa(m.MaxPoolSize)},
		{"serverSelectionTimeoutMS", "mongodb.server_selection_timeout", milliseconds(m.ServerSelectionTimeout)},
	}
	scheme, rest, _ := strings.Cut(front, "://")
	hosts, database, _ := strings.Cut(rest, "/")
	switch {
	case database == "":
		front = scheme + "://" + hosts + "/" + m.DatabaseName
		if strings.Contains(hosts, "@") && !strings.Contains(strings.ToLower(query), "authmechanism=") && !strings.Contains(strings.ToLower(query), "authsource=") {
			p = append(p, parameter{"authSource", "mongodb.connection_string", "admin"})
		}
	case c.given("mongodb.database_name") && database != m.DatabaseName:
		return "", fmt.Errorf("names another database than mongodb.database_name, %s", m.DatabaseName)
	}
	if query != "" {
		front += "?" + query
	}
	return c.with(front, p)
}

// brokerKey is the key that a fault of the broker's URL belongs to.
func (c *Config) brokerKey() string {
	switch c.EventBus.Backend {
	case "redis":
		return "event_bus.redis.url"
	case "rabbitmq":
		return "rabbitmq.url"
	case "nats":
		return "nats.url"
	default:
		return "kafka.bootstrap_servers"
	}
}

func (c *Config) brokerURL() (string, error) {
	switch c.EventBus.Backend {
	case "redis":
		return c.with(c.redisBusURL(), parameters{{"prefix", "event_bus.redis.prefix", c.EventBus.Redis.Prefix}})
	case "rabbitmq":
		return c.with(string(c.RabbitMQ.URL), parameters{
			{"exchange", "rabbitmq.exchange_name", c.RabbitMQ.ExchangeName},
			{"connection_timeout", "rabbitmq.timeout", milliseconds(c.RabbitMQ.Timeout)},
		})
	case "kafka":
		k := &c.Kafka
		front := "kafka://"
		if k.TLS {
			front = "kafkas://"
		}
		var p parameters
		if k.Username != "" {
			front += url.UserPassword(k.Username, string(k.Password)).String() + "@"
			p = append(p, parameter{"sasl", "kafka.sasl", k.SASL})
		}
		p = append(p, parameter{"publish_timeout", "kafka.timeout", k.Timeout.String()})
		return c.with(front+strings.Join(k.BootstrapServers, ","), p)
	case "nats":
		return c.with(string(c.NATS.URL), parameters{
			{"stream", "nats.stream", c.NATS.Stream},
			{"prefix", "nats.prefix", c.NATS.Prefix},
			{"timeout", "nats.timeout", c.NATS.Timeout.String()},
		})
	default:
		return "memory:", nil
	}
}

// redisBusURL is the URL of the bus, or that of the store without what concerns the store alone.
func (c *Config) redisBusURL() string {
	if c.EventBus.Redis.URL != "" {
		return string(c.EventBus.Redis.URL)
	}
	front, query, _ := strings.Cut(string(c.Redis.URL), "?")
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		switch name, _, _ := strings.Cut(pair, "="); name {
		case "", "name", "reconnect_for":
		default:
			kept = append(kept, pair)
		}
	}
	if len(kept) > 0 {
		front += "?" + strings.Join(kept, "&")
	}
	return front
}

// parameter is a setting that goes into a URL, and the key that it comes from.
type parameter struct{ name, key, value string }

type parameters []parameter

// with adds parameters to a URL. One that the URL has already counts more than a default; another value that was chosen
// contradicts it. The error says nothing of the URL.
func (c *Config) with(base string, p parameters) (string, error) {
	if base == "" {
		return "", nil // it is missing, and that is said elsewhere
	}
	front, query, hasQuery := strings.Cut(base, "?")
	present, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("has a malformed query; are the special characters of the password percent-encoded?")
	}
	var pairs []string
	if hasQuery && query != "" {
		pairs = append(pairs, query)
	}
	for _, add := range p {
		if !present.Has(add.name) {
			pairs = append(pairs, add.name+"="+url.QueryEscape(add.value))
		} else if c.given(add.key) && present.Get(add.name) != add.value {
			return "", fmt.Errorf("has a parameter %s that says something else than %s, %s", add.name, add.key, add.value)
		}
	}
	if len(pairs) == 0 {
		return front, nil
	}
	return front + "?" + strings.Join(pairs, "&"), nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
