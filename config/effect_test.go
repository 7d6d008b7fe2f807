package config

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/query"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/sqlitestore"
)

// world is an app with drivers that tell what they were asked for.
type world struct {
	*App
	storeURL  string
	storeOpen store.OpenOptions
	brokerURL string
	dials     int
	logs      *bytes.Buffer
	metrics   *prometheus.Registry
}

// load reads a section "events" that stands in the short form of YAML.
func load(t *testing.T, text string, environ ...string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "application.yaml")
	if err := os.WriteFile(path, []byte("events: "+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Source{Path: path, Environ: append([]string{}, environ...)})
}

// opened opens an app; change may alter the options.
func opened(t *testing.T, text string, change ...func(*Options)) *world {
	t.Helper()
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{logs: &bytes.Buffer{}, metrics: prometheus.NewRegistry()}
	o := Options{
		Metrics: w.metrics, Logger: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Stores: []store.Driver{sqlitestore.Driver(), {
			Name: "any", Schemes: []string{"memory", "postgres", "postgresql", "mongodb", "redis"},
			Open: func(_ context.Context, url string, o store.OpenOptions) (store.Backend, error) {
				w.storeURL, w.storeOpen = url, o
				if strings.HasPrefix(url, "memory:") {
					return memstore.Driver().Open(t.Context(), url, o)
				}
				return memstore.New(memstore.Options{}), nil
			},
		}},
		Brokers: []broker.Driver{{
			Name: "any", Schemes: []string{"memory", "redis", "amqp", "kafka", "kafkas", "nats"},
			Open: func(ctx context.Context, url string) (broker.Backend, error) {
				w.brokerURL, w.dials = url, w.dials+1
				if strings.Contains(url, "down.example") {
					deadline, _ := ctx.Deadline()
					return nil, fmt.Errorf("%w: within %v", broker.ErrUnavailable, time.Until(deadline).Round(time.Second))
				}
				return membroker.New(membroker.Options{}), nil
			},
		}},
	}
	for _, f := range change {
		f(&o)
	}
	app, err := Open(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	w.App = app
	t.Cleanup(func() { _ = app.Close() })
	return w
}

// refused checks that a value is refused, with the key and the reason in the text.
func refused(text string, wants ...string) func(*testing.T) {
	return func(t *testing.T) {
		_, err := load(t, text)
		if err == nil {
			t.Fatalf("%s is accepted", text)
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", text, err, want)
			}
		}
	}
}

// storeURL checks a piece of the URL that the store is opened with.
func storeURL(text, want string) func(*testing.T) {
	return func(t *testing.T) {
		w := opened(t, text)
		if !strings.Contains(w.storeURL, want) {
			t.Errorf("the store is opened with %s, want %s in it", w.storeURL, want)
		}
	}
}

func brokerURL(text, want string) func(*testing.T) {
	return func(t *testing.T) {
		w := opened(t, text)
		if !strings.Contains(w.brokerURL, want) {
			t.Errorf("the broker is opened with %s, want %s in it", w.brokerURL, want)
		}
	}
}

// field checks something of an app.
func field[T comparable](text string, get func(w *world) T, want T) func(*testing.T) {
	return func(t *testing.T) {
		if got := get(opened(t, text)); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func bus(w *world) eventbus.Options { return w.busOptions(observe.Hooks{}) }

// names lists the steps around messages of a kind.
func stepNames(t *testing.T, text string, kind middleware.Kind) string {
	var found []string
	opened(t, text, func(o *Options) {
		o.Middleware = func(k middleware.Kind, steps []Step) []Step {
			if k == kind {
				for _, s := range steps {
					found = append(found, s.Name)
				}
			}
			return steps
		}
	})
	return strings.Join(found, " ")
}

func withSteps(text string, kind middleware.Kind, want string) func(*testing.T) {
	return func(t *testing.T) {
		if got := stepNames(t, text, kind); got != want {
			t.Errorf("the steps are %q, want %q", got, want)
		}
	}
}

// order is a command, a query and an event at once. It has a secret and a rule.
type order struct {
	ID       string `json:"id" validate:"required"`
	Password string `json:"password"`
}

func (o order) CacheKey() string { return o.ID }

type none = command.None

// handled dispatches a command to a handler of the test's.
func (w *world) handled(t *testing.T, c order, handler func(ctx context.Context, c order) (none, error)) error {
	t.Helper()
	if err := command.Handle(w.Commands(), handler); err != nil {
		t.Fatal(err)
	}
	_, err := command.Dispatch[none](t.Context(), w.Commands(), c)
	return err
}

// fails counts the calls of a handler that fails as a store does that cannot be reached.
func fails(calls *int) func(context.Context, order) (none, error) {
	return func(context.Context, order) (none, error) { *calls++; return none{}, store.ErrUnavailable }
}

func well(context.Context, order) (none, error) { return none{}, nil }

// series tells whether a metric is there.
func (w *world) series(t *testing.T, part string) bool {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.Contains(f.GetName(), part) {
			return true
		}
	}
	return false
}

const (
	pg     = "{event_store_backend: postgres, postgres: {dsn: 'postgres://u:secret@db/x'"
	mongo  = "{event_store_backend: mongodb, mongodb: {connection_string: 'mongodb://u:secret@db/'"
	redis  = "{event_store_backend: redis, redis: {url: 'redis://db/0'"
	rabbit = "{event_bus: {backend: rabbitmq}, rabbitmq: {url: 'amqp://u:secret@mq/v'"
	kafka  = "{event_bus: {backend: kafka}, kafka: {bootstrap_servers: 'k1:9092,k2:9092'"
	nats   = "{event_bus: {backend: nats}, nats: {url: 'nats://n1'"
	sqlite = "{event_store_backend: sqlite, sqlite: {database: DATABASE"
)

// file puts a new path into a text.
func file(t *testing.T, text string) string {
	return strings.ReplaceAll(text, "DATABASE", "'"+filepath.Join(t.TempDir(), "e.db")+"'")
}

func TestEachKeyHasAnEffect(t *testing.T) {
	rows := effects()
	for _, k := range keys() {
		effect := rows[k.path]
		if effect == nil {
			t.Errorf("%s has no row in this test: show its effect", k.path)
			continue
		}
		t.Run(k.path, effect)
		delete(rows, k.path)
	}
	for path := range rows {
		t.Errorf("%s has a row here, and is no key", path)
	}
}

func effects() map[string]func(t *testing.T) {
	rows := map[string]func(t *testing.T){}
	for _, part := range []map[string]func(t *testing.T){generalEffects(), storeEffects(), busEffects(), brokerEffects(), backgroundEffects(), stepEffects(), streamEffects()} {
		for path, effect := range part {
			rows[path] = effect
		}
	}
	return rows
}

func generalEffects() map[string]func(t *testing.T) {
	return map[string]func(t *testing.T){
		"name": field("{name: shop}", func(w *world) string { return w.config.group() + bus(w).Source }, "shop/shop"),
		"enabled": func(t *testing.T) {
			c, err := load(t, "{enabled: false}")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), c, Options{Stores: []store.Driver{memstore.Driver()}}); !errors.Is(err, ErrDisabled) {
				t.Errorf("got %v", err)
			}
		},
		"event_store_backend": storeURL(pg+"}}", "postgres://u:secret@db/x?"),
		"debug": func(t *testing.T) {
			for debug, want := range map[string]bool{"true": true, "false": false} {
				w := opened(t, "{debug: "+debug+"}")
				_, err := w.Store().Append(t.Context(), "order-1", store.Any(), event.Pending{Type: "order.placed"})
				if err != nil || strings.Contains(w.logs.String(), "msg=append") != want {
					t.Errorf("debug %s: %v, logs: %s", debug, err, w.logs)
				}
				if c := w.Config(); c.logger(nil).Enabled(t.Context(), slog.LevelDebug) != want {
					t.Errorf("debug %s: the logger's level is wrong", debug)
				}
			}
		},
		"env": func(t *testing.T) {
			for text, want := range map[string]string{"prod": "*slog.JSONHandler", "dev": "*slog.TextHandler", "testing": "*slog.TextHandler"} {
				w := opened(t, "{env: "+text+"}")
				if got := fmt.Sprintf("%T", w.Config().logger(nil).Handler()); got != want {
					t.Errorf("%s: logs by %s", text, got)
				}
				if !strings.HasPrefix(w.Env(), text[:3]) {
					t.Errorf("%s is %s", text, w.Env())
				}
			}
		},
		"version_skew_alerts_enabled": func(t *testing.T) {
			for text, want := range map[string]int{"true": 3, "false": 0} {
				w := opened(t, "{version_skew_alerts_enabled: "+text+"}")
				p, s, b := w.ProjectionOptions(), w.SagaOptions(), w.busOptions(w.hooks)
				for _, hooks := range []observe.Hooks{p.Hooks, s.Hooks, b.Hooks} {
					hooks.Skew(t.Context(), observe.Skew{Type: "order.placed"})
				}
				if n := strings.Count(w.logs.String(), "level=ERROR msg=\"version skew"); n != want {
					t.Errorf("%s: %d alarms, want %d", text, n, want)
				}
			}
		},
		"use_database_provider": refused("{use_database_provider: true}", "use_database_provider: must be false", "pgstore.New"),

		"event_sourcing.versioning": refused("{event_sourcing: {versioning: false}}", "event_sourcing.versioning: must be true"),
		"event_sourcing.aggregate_cache_enabled": field("{event_sourcing: {aggregate_cache_enabled: true}}",
			func(w *world) int { return w.AggregateOptions().Cache }, 1000),
		"event_sourcing.aggregate_cache_ttl": field("{event_sourcing: {aggregate_cache_enabled: true, aggregate_cache_ttl: 60}}",
			func(w *world) time.Duration { return w.AggregateOptions().CacheTTL }, time.Minute),
		"event_sourcing.aggregate_cache_size": field("{event_sourcing: {aggregate_cache_enabled: true, aggregate_cache_size: 5}}",
			func(w *world) int { return w.AggregateOptions().Cache }, 5),
		"snapshots.enabled": field("{snapshots: {enabled: false}}", func(w *world) bool { return w.AggregateOptions().Snapshots == nil }, true),
		"snapshots.strategy": func(t *testing.T) {
			for text, want := range map[string]string{"count": "100 0s", "time_based": "-1 1h0m0s", "on_demand": "-1 0s"} {
				s := opened(t, "{snapshots: {strategy: "+text+"}}").AggregateOptions().Snapshots
				if got := fmt.Sprint(s.Every, " ", s.MaxAge); got != want {
					t.Errorf("%s: every %s, want %s", text, got, want)
				}
			}
		},
		"snapshots.event_count_threshold": field("{snapshots: {event_count_threshold: 10}}",
			func(w *world) int { return w.AggregateOptions().Snapshots.Every }, 10),
		"snapshots.time_threshold_seconds": field("{snapshots: {strategy: time, time_threshold_seconds: 60}}",
			func(w *world) time.Duration { return w.AggregateOptions().Snapshots.MaxAge }, time.Minute),
		"snapshots.max_snapshots_per_aggregate": field("{snapshots: {max_snapshots_per_aggregate: 2}}",
			func(w *world) int { return w.AggregateOptions().Snapshots.Keep }, 2),
	}
}

func storeEffects() map[string]func(t *testing.T) {
	bucket := func(w *world) string { return w.AggregateOptions().Snapshots.Bucket }
	creates := func(w *world) bool { return w.storeOpen.AutoMigrate }
	return map[string]func(t *testing.T){
		"postgres.dsn":             storeURL("{event_store_backend: postgres, postgres: {dsn: 'postgresql+asyncpg://h/d'}}", "postgresql://h/d?"),
		"postgres.schema":          storeURL(pg+", schema: shop}}", "schema=shop&"),
		"postgres.pool_min_size":   storeURL(pg+", pool_min_size: 7}}", "pool_min_conns=7&"),
		"postgres.pool_max_size":   storeURL(pg+", pool_max_size: 70}}", "pool_max_conns=70&"),
		"postgres.command_timeout": storeURL(pg+", command_timeout: 1.5}}", "statement_timeout=1500"),
		"postgres.events_table":    storeURL(pg+", events_table: shop_events}}", "schema=shop_events&"),
		"postgres.snapshots_table": field(pg+", snapshots_table: states}}", bucket, "states"),
		"postgres.auto_create_tables": func(t *testing.T) {
			field(pg+"}}", creates, true)(t)
			field(pg+", auto_create_tables: false}}", creates, false)(t)
		},
		"postgres.batch_size": field(pg+", batch_size: 9}}", func(w *world) int { return w.Store().Limits().MaxCommitEvents }, 9),

		"mongodb.connection_string":        storeURL(mongo+"}}", "mongodb://u:secret@db/events?prefix=domain_events"),
		"mongodb.database_name":            storeURL(mongo+", database_name: shop}}", "@db/shop?"),
		"mongodb.events_collection":        storeURL(mongo+", events_collection: shop}}", "prefix=shop&"),
		"mongodb.snapshots_collection":     field(mongo+", snapshots_collection: states}}", bucket, "states"),
		"mongodb.max_pool_size":            storeURL(mongo+", max_pool_size: 3}}", "maxPoolSize=3&"),
		"mongodb.server_selection_timeout": storeURL(mongo+", server_selection_timeout: 2s}}", "serverSelectionTimeoutMS=2000"),
		"mongodb.auto_create_indexes":      field(mongo+", auto_create_indexes: false}}", creates, false),

		"redis.url":             storeURL(redis+"}}", "redis://db/0?"),
		"redis.name":            storeURL(redis+", name: shop}}", "name=shop&"),
		"redis.pool_size":       storeURL(redis+", pool_size: 4}}", "pool_size=4&"),
		"redis.require_durable": storeURL(redis+", require_durable: true}}", "require_durable=true"),
		"redis.auto_create":     field(redis+", auto_create: false}}", creates, false),

		"sqlite.database": func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "there", "e.db")
			opened(t, "{event_store_backend: sqlite, sqlite: {database: '"+path+"'}}")
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		},
		"sqlite.pragmas": func(t *testing.T) {
			w := opened(t, file(t, sqlite+", pragmas: {synchronous: NORMAL, busy_timeout: 100, cache_size: -8000}}}"))
			d, err := w.Store().Describe(t.Context())
			u, _ := w.config.StoreURL()
			if err != nil || !strings.Contains(d.Durability, "normal") || !strings.HasSuffix(string(u), "?busy_timeout=100ms&cache_size=-8000&synchronous=normal") {
				t.Errorf("%+v, %v, %s", d, err, string(u))
			}
			refused("{sqlite: {pragmas: {foreign_keys: 1}}}", "sqlite.pragmas", "foreign_keys is the store's own")(t)
		},
		"sqlite.wal_mode":     refused("{sqlite: {wal_mode: false}}", "sqlite.wal_mode: must be true"),
		"sqlite.journal_mode": refused("{sqlite: {journal_mode: DELETE}}", "sqlite.journal_mode: must be WAL"),
		"sqlite.auto_create_tables": func(t *testing.T) {
			c, err := load(t, file(t, sqlite+", auto_create_tables: false}}"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = Open(t.Context(), c, Options{Stores: []store.Driver{sqlitestore.Driver()}, Brokers: []broker.Driver{membroker.Driver()}}); err == nil {
				t.Error("a missing file was opened")
			}
		},
		"memory.max_events_per_stream": func(t *testing.T) {
			w := opened(t, "{memory: {max_events_per_stream: 100}}")
			_, err := w.Store().Append(t.Context(), "order-1", store.Any(), slices.Repeat([]event.Pending{{Type: "order.placed"}}, 101)...)
			if !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("got %v", err)
			}
		},
		"memory.enable_snapshots": field("{memory: {enable_snapshots: false}}", func(w *world) bool { return w.AggregateOptions().Snapshots == nil }, true),
	}
}

func busEffects() map[string]func(t *testing.T) {
	return map[string]func(t *testing.T){
		"command_bus.backend": refused("{command_bus: {backend: kafka}}", "command_bus.backend: must be memory"),
		"command_bus.max_retries": func(t *testing.T) {
			calls := 0
			w := opened(t, "{command_bus: {max_retries: 1, retry_delay_seconds: 0.1}}")
			if err := w.handled(t, order{ID: "1"}, fails(&calls)); err == nil || calls != 2 {
				t.Errorf("%d calls, %v", calls, err)
			}
		},
		"command_bus.retry_delay_seconds": field("{command_bus: {retry_delay_seconds: 3}}",
			func(w *world) time.Duration { return w.config.commandRetry().Policy.Initial }, 3*time.Second),
		"command_bus.timeout_seconds": func(t *testing.T) {
			w := opened(t, "{command_bus: {timeout_seconds: 7}}")
			checkDeadline(t, 7*time.Second, func(check func(context.Context)) error {
				return w.handled(t, order{ID: "1"}, func(ctx context.Context, _ order) (none, error) { check(ctx); return none{}, nil })
			})
		},
		"command_bus.enable_validation": withSteps("{command_bus: {enable_validation: false}}", middleware.Command, "logging retry metrics"),
		"command_bus.enable_logging":    withSteps("{command_bus: {enable_logging: false}}", middleware.Command, "validation retry metrics"),
		"command_bus.enable_metrics": func(t *testing.T) {
			withSteps("{command_bus: {enable_metrics: false}}", middleware.Command, "validation logging retry")(t)
			for text, want := range map[string]bool{"true": true, "false": false} {
				w := opened(t, "{command_bus: {enable_metrics: "+text+"}}")
				if err := w.handled(t, order{ID: "1"}, well); err != nil || w.series(t, "executions_total") != want {
					t.Errorf("%s: %v, or the commands are counted wrongly", text, err)
				}
			}
		},
		"query_bus.backend": refused("{query_bus: {backend: redis}}", "query_bus.backend: must be memory"),
		"query_bus.timeout_seconds": func(t *testing.T) {
			w := opened(t, "{query_bus: {timeout: 7}}")
			checkDeadline(t, 7*time.Second, func(check func(context.Context)) error {
				if err := query.Handle(w.Queries(), func(ctx context.Context, _ order) (int, error) { check(ctx); return 1, nil }); err != nil {
					return err
				}
				_, err := query.Dispatch[int](t.Context(), w.Queries(), order{ID: "1"})
				return err
			})
		},
		"query_bus.enable_logging": withSteps("{query_bus: {enable_logging: false}}", middleware.Query, "validation retry metrics"),
		"query_bus.enable_metrics": withSteps("{query_bus: {enable_metrics: false}}", middleware.Query, "validation logging retry"),
		"query_bus.enable_caching": func(t *testing.T) {
			for text, want := range map[string]int{"true": 1, "false": 2} {
				w, calls := opened(t, "{query_bus: {enable_caching: "+text+"}}"), 0
				err := query.Handle(w.Queries(), func(context.Context, order) (int, error) { calls++; return 1, nil })
				for range 2 {
					_, failed := query.Dispatch[int](t.Context(), w.Queries(), order{ID: "1"})
					err = errors.Join(err, failed)
				}
				if err != nil || calls != want {
					t.Errorf("%s: %d calls, %v", text, calls, err)
				}
			}
		},
		"query_bus.cache_ttl_seconds": func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, calls := opened(t, "{query_bus: {cache_results: true, cache_ttl: 7s}}"), 0
				err := query.Handle(w.Queries(), func(context.Context, order) (int, error) { calls++; return 1, nil })
				for range 3 {
					_, failed := query.Dispatch[int](t.Context(), w.Queries(), order{ID: "1"})
					err = errors.Join(err, failed)
					time.Sleep(5 * time.Second) //nolint:forbidigo // in a bubble
				}
				if err != nil || calls != 2 {
					t.Errorf("%d calls, %v", calls, err)
				}
			})
		},
		"event_bus.backend": brokerURL(rabbit+"}}", "amqp://u:secret@mq/v?"),
		"event_bus.topic":   field("{event_bus: {topic: orders}}", func(w *world) string { return bus(w).Topic }, "orders"),
		"event_bus.group":   field("{event_bus: {group: shop}}", func(w *world) string { return w.Bus().Name() }, "eventbus/shop"),
		"event_bus.max_concurrent_handlers": field("{event_bus: {max_concurrent_handlers: 3}}",
			func(w *world) int { return bus(w).MaxConcurrentHandlers }, 3),
		"event_bus.handler_timeout_seconds": field("{event_bus: {handler_timeout: 3}}",
			func(w *world) time.Duration { return bus(w).HandlerTimeout }, 3*time.Second),
		"event_bus.retry_failed_handlers": field("{event_bus: {retry_failed_handlers: false}}", func(w *world) int { return bus(w).Retry.Attempts }, 1),
		"event_bus.max_handler_retries":   field("{event_bus: {max_handler_retries: 6}}", func(w *world) int { return bus(w).Retry.Attempts }, 7),
		"event_bus.enable_dead_letter":    field("{event_bus: {enable_dead_letter: false}}", func(w *world) bool { return bus(w).DropFailed }, true),
		"event_bus.allow_no_handlers": func(t *testing.T) {
			w := opened(t, "{event_bus: {allow_no_handlers: false}}")
			if err := schema.Register[order](w.Schema(), "order.placed", schema.Options{}); err != nil {
				t.Fatal(err)
			}
			if err := w.Bus().Publish(t.Context(), order{ID: "1"}); !errors.Is(err, eventbus.ErrNoHandler) {
				t.Errorf("got %v", err)
			}
		},
		"event_bus.parallel_dispatch": field("{event_bus: {parallel_dispatch: false}}",
			func(w *world) eventbus.Dispatch { return bus(w).Dispatch }, eventbus.Sequential),
		"event_bus.continue_on_error": func(t *testing.T) {
			field("{event_bus: {parallel_dispatch: false, continue_on_error: false}}", func(w *world) bool { return bus(w).StopOnError }, true)(t)
			refused("{event_bus: {continue_on_error: false}}", "event_bus.continue_on_error", "parallel_dispatch")(t)
		},
		"event_bus.max_queue_per_subscriber": func(t *testing.T) {
			field("{event_bus: {max_queue_per_subscriber: 5}}", func(w *world) int { return bus(w).MaxQueue }, 5)(t)
			field("{event_bus: {max_queue_per_subscriber: 0}}", func(w *world) int { return bus(w).MaxQueue }, 65535)(t)
		},
		"event_bus.redis.url": func(t *testing.T) {
			brokerURL("{event_bus: {backend: redis, redis: {url: 'redis://bus/1'}}}", "redis://bus/1?")(t)
			brokerURL("{event_bus: {backend: redis}, redis: {url: 'redis://db/2?name=x&pool_size=3'}}", "redis://db/2?pool_size=3&prefix=lexigram")(t)
		},
		"event_bus.redis.prefix": brokerURL("{event_bus: {backend: redis, redis: {url: 'redis://bus/1', prefix: shop}}}", "prefix=shop"),
		"handlers.enabled": func(t *testing.T) {
			for text, want := range map[string]bool{"true": true, "false": false} {
				w := opened(t, "{handlers: "+text+"}")
				err := eventbus.OnAll(w.Bus(), "audit", func(context.Context, eventbus.Message) error { return nil }, eventbus.HandlerOptions{})
				if err != nil || w.runs(t, "eventbus/events") != want {
					t.Errorf("%s: %v, or the bus runs wrongly", text, err)
				}
			}
		},
	}
}

// runs reports whether a part of that name runs.
func (w *world) runs(t *testing.T, name string) bool {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	if err := w.Add(events.Part{Name: "signal", Run: func(context.Context) error { stop(); return nil }}); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(fmt.Sprint(w.Health(t.Context()).Parts), name)
}

// checkDeadline checks that a handler has so much time.
func checkDeadline(t *testing.T, want time.Duration, call func(check func(context.Context)) error) {
	t.Helper()
	called := false
	err := call(func(ctx context.Context) {
		called = true
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left > want || left < want-2*time.Second {
			t.Errorf("the handler has %v, want %v", left, want)
		}
	})
	if err != nil || !called {
		t.Errorf("called: %t, %v", called, err)
	}
}

func brokerEffects() map[string]func(t *testing.T) {
	group := func(w *world) string { return w.Bus().Name() }
	// dials opens a broker that is down, and gives how often and how long it was tried.
	dials := func(text string, wants ...string) func(*testing.T) {
		return func(t *testing.T) {
			c, err := load(t, text)
			if err != nil {
				t.Fatal(err)
			}
			var logs bytes.Buffer
			_, err = c.openBroker(t.Context(), []broker.Driver{{Schemes: []string{"amqp", "kafka"}, Open: func(ctx context.Context, _ string) (broker.Backend, error) {
				deadline, _ := ctx.Deadline()
				return nil, fmt.Errorf("%w: within %v", broker.ErrUnavailable, time.Until(deadline).Round(time.Second))
			}}}, slog.New(slog.NewTextHandler(&logs, nil)))
			for _, want := range wants {
				if err == nil || !strings.Contains(err.Error()+logs.String(), want) {
					t.Errorf("%v\n%s\ndo not say %q", err, logs.String(), want)
				}
			}
			if n := strings.Count(logs.String(), "does not answer"); n != 1 {
				t.Errorf("it was tried %d times again, want once", n)
			}
		}
	}
	logs := func(text string) func(*testing.T) {
		return func(t *testing.T) {
			for enabled, want := range map[string]bool{"true": true, "false": false} {
				w := opened(t, text+", enable_logging: "+enabled+"}}")
				err := w.Broker().Publish(t.Context(), broker.Message{ID: "1", Topic: "t"})
				if err != nil || strings.Contains(w.logs.String(), "msg=publish") != want {
					t.Errorf("%s: %v, logs %s", enabled, err, w.logs)
				}
			}
		}
	}
	return map[string]func(t *testing.T){
		"rabbitmq.url":                brokerURL(rabbit+"}}", "amqp://u:secret@mq/v?"),
		"rabbitmq.exchange_name":      brokerURL(rabbit+", exchange_name: shop}}", "exchange=shop&"),
		"rabbitmq.queue_prefix":       field(rabbit+", queue_prefix: shop}}", group, "eventbus/shop"),
		"rabbitmq.prefetch_count":     field(rabbit+", prefetch_count: 4}}", func(w *world) int { return bus(w).MaxQueue }, 4),
		"rabbitmq.durable":            refused("{rabbitmq: {durable: false}}", "rabbitmq.durable: must be true"),
		"rabbitmq.timeout":            dials(rabbit+", timeout: 9, reconnect_attempts: 1, reconnect_delay: 0}}", "within 9s"),
		"rabbitmq.reconnect_attempts": dials(rabbit+", reconnect_attempts: 1, reconnect_delay: 0}}", "attempt=1"),
		"rabbitmq.reconnect_delay":    dials(rabbit+", reconnect_attempts: 1, reconnect_delay: 10ms}}", "again_in=10ms"),
		"rabbitmq.enable_logging":     logs(rabbit),
		"kafka.bootstrap_servers": func(t *testing.T) {
			brokerURL(kafka+"}}", "kafka://k1:9092,k2:9092?")(t)
			brokerURL("{event_bus: {backend: kafka, kafka: {bootstrap_servers: [k1, k2]}}}", "kafka://k1,k2?")(t)
		},
		"kafka.topic_prefix": func(t *testing.T) {
			field(kafka+", topic_prefix: shop}}", func(w *world) string { return bus(w).Topic }, "shop")(t)
			field(kafka+", topic_prefix: shop, topic: orders}}", func(w *world) string { return bus(w).Topic }, "shop.orders")(t)
		},
		"kafka.consumer_group": field(kafka+", consumer_group: shop}}", group, "eventbus/shop"),
		"kafka.auto_offset_reset": func(t *testing.T) {
			field(kafka+"}}", func(w *world) bool { return bus(w).FromStart }, true)(t)
			field(kafka+", auto_offset_reset: latest}}", func(w *world) bool { return bus(w).FromStart }, false)(t)
		},
		"kafka.enable_auto_commit": refused("{kafka: {enable_auto_commit: false}}", "kafka.enable_auto_commit: must be true"),
		"kafka.timeout":            brokerURL(kafka+", timeout: 7}}", "publish_timeout=7s"),
		"kafka.reconnect_attempts": dials(kafka+", reconnect_attempts: 1, reconnect_delay: 0}}", "attempt=1"),
		"kafka.reconnect_delay":    dials(kafka+", reconnect_attempts: 1, reconnect_delay: 10ms}}", "again_in=10ms"),
		"kafka.enable_logging":     logs(kafka),
		"kafka.username":           brokerURL(kafka+", username: 'a@b', password: 'p/w'}}", "kafka://a%40b:p%2Fw@k1"),
		"kafka.password":           refused("{kafka: {username: ada}}", "kafka.username: and kafka.password"),
		"kafka.sasl":               brokerURL(kafka+", username: a, password: b, sasl: plain}}", "sasl=plain&"),
		"kafka.tls":                brokerURL(kafka+", tls: true}}", "kafkas://k1"),
		"nats.url":                 brokerURL(nats+"}}", "nats://n1?"),
		"nats.stream":              brokerURL(nats+", stream: shop}}", "stream=shop&"),
		"nats.prefix":              brokerURL(nats+", prefix: shop}}", "prefix=shop&"),
		"nats.timeout":             brokerURL(nats+", timeout: 2}}", "timeout=2s"),
	}
}

func backgroundEffects() map[string]func(t *testing.T) {
	project := func(w *world) projection.Options { return w.ProjectionOptions() }
	sagas := func(w *world) saga.Options { return w.SagaOptions() }
	return map[string]func(t *testing.T){
		"saga.enabled": func(t *testing.T) {
			for text, want := range map[string]bool{"true": true, "false": false} {
				w := opened(t, "{sagas: {enabled: "+text+"}}")
				greet, err := saga.Define("greet", 1, saga.Step[string]{Name: "hello", Action: func(context.Context, *string) error { return nil }})
				if err != nil {
					t.Fatal(err)
				}
				if set, err := w.AddSagas(greet); err != nil || set == nil || w.runs(t, "sagas") != want {
					t.Errorf("%s: %v, or sagas run wrongly", text, err)
				}
			}
		},
		"saga.default_timeout_seconds": field("{sagas: {timeout: 30}}", func(w *world) time.Duration { return sagas(w).Timeout }, 30*time.Second),
		"saga.max_retries_per_step":    field("{saga: {max_retries_per_step: 0}}", func(w *world) int { return sagas(w).Retry.Attempts }, 1),
		"saga.retry_delay_seconds": field("{saga: {retry_delay_seconds: 2}}",
			func(w *world) time.Duration { return sagas(w).Retry.Initial + sagas(w).CompensationRetry.Initial }, 4*time.Second),
		"saga.enable_compensation": field("{saga: {enable_compensation: false}}", func(w *world) bool { return sagas(w).NoCompensation }, true),
		"saga.persist_state":       refused("{saga: {persist_state: false}}", "saga.persist_state: must be true"),
		"saga.cleanup_completed_after_hours": field("{saga: {cleanup_completed_after_hours: 2}}",
			func(w *world) time.Duration { return sagas(w).Retention }, 2*time.Hour),

		"projection.enabled": func(t *testing.T) {
			for text, want := range map[string]bool{"true": true, "false": false} {
				w := opened(t, "{projections: {enabled: "+text+"}}")
				if err := w.AddProjections(w.totals(t, "totals")); err != nil || w.runs(t, "projections") != want {
					t.Errorf("%s: %v, or projections run wrongly", text, err)
				}
			}
		},
		"projection.checkpoint_interval": field("{projection: {checkpoint_interval: 9}}", func(w *world) int { return project(w).CheckpointEvery }, 9),
		"projection.batch_size":          field("{projection: {batch_size: 9}}", func(w *world) int { return project(w).BatchEvents }, 9),
		"projection.max_catch_up_events": field("{projection: {max_catch_up_events: 200}}", func(w *world) int { return project(w).InlineCatchUp }, 200),
		"projection.rebuild_batch_size":  field("{projection: {rebuild_batch_size: 200}}", func(w *world) int { return project(w).RebuildBatchEvents }, 200),
		"projection.enable_parallel_projections": field("{projection: {enable_parallel_projections: false}}",
			func(w *world) bool { return project(w).Exclusive == &w.turn }, true),
		"projection.read_models": func(t *testing.T) {
			w := opened(t, "{projections: {read_models: [{name: a, enabled: false}, {name: b, rebuild_on_startup: true}]}}")
			a, b := w.totals(t, "a"), w.totals(t, "b")
			set, err := w.set(t.Context(), []*projection.Projection{a, b})
			if err != nil || set == nil {
				t.Fatal(err)
			}
			var found []string
			for status, err := range projection.NewControl(w.Store()).List(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, fmt.Sprint(status.Name, status.Building != nil))
			}
			if !slices.Equal(found, []string{"btrue"}) {
				t.Errorf("got %v", found)
			}
			if _, err := w.set(t.Context(), []*projection.Projection{b}); err == nil || !strings.Contains(err.Error(), `no projection "a"`) {
				t.Errorf("got %v", err)
			}
		},
		"outbox.enabled": func(t *testing.T) {
			for text, want := range map[string]bool{"true": true, "false": false} {
				if w := opened(t, "{outbox: {enabled: "+text+"}}"); w.runs(t, "outbox-outbox") != want {
					t.Errorf("%s: the outbox runs wrongly", text)
				}
			}
		},
		"outbox.poll_interval": field("{outbox: {poll_interval: 50ms}}", func(w *world) time.Duration { return w.relayOptions().PollInterval }, 50*time.Millisecond),
		"outbox.batch_size":    field("{outbox: {batch_size: 9}}", func(w *world) int { return w.relayOptions().BatchEvents }, 9),
		"outbox.table": func(t *testing.T) {
			if !opened(t, "{outbox: {table: shop}}").runs(t, "outbox-shop") {
				t.Error("there is no such part")
			}
		},
	}
}

// totals is a projection.
func (w *world) totals(t *testing.T, name string) *projection.Projection {
	t.Helper()
	if err := schema.Register[order](w.Schema(), "order.placed", schema.Options{}); err != nil && !errors.Is(err, schema.ErrDuplicate) {
		t.Fatal(err)
	}
	p := projection.New(w.Store(), w.Schema(), name, w.ProjectionOptions())
	docs := projection.NewDocuments(p, name, projection.DocumentOptions[order]{})
	projection.On(p, func(ctx context.Context, e order, r event.Recorded) error { return docs.Put(ctx, r.Stream.Key(), e) })
	return p
}

func stepEffects() map[string]func(t *testing.T) {
	// logged handles a command with a secret and gives the line about it.
	logged := func(t *testing.T, text string) string {
		w := opened(t, "{logging_middleware: {"+text+"}}")
		if err := w.handled(t, order{ID: "1", Password: "secret"}, well); err != nil {
			t.Error(err)
		}
		return w.logs.String()
	}
	says := func(text, want string) func(*testing.T) {
		return func(t *testing.T) {
			if got := logged(t, text); !strings.Contains(got, want) || strings.Contains(got, "secret") {
				t.Errorf("logged %s, want %s", got, want)
			}
		}
	}
	policy := func(w *world) broker.Retry {
		return w.config.retry(w.config.RetryMiddleware.MaxRetries, w.config.RetryMiddleware.InitialDelay).Policy
	}
	trip := func(text string, want int) func(*testing.T) {
		return func(t *testing.T) {
			w, calls := opened(t, "{retry_middleware: false, circuit_breaker_middleware: {enabled: true, "+text+"}}"), 0
			err := w.handled(t, order{ID: "1"}, fails(&calls))
			for range 9 {
				_, err = command.Dispatch[none](t.Context(), w.Commands(), order{ID: "1"})
			}
			if calls != want || err == nil {
				t.Errorf("%d calls, want %d; %v", calls, want, err)
			}
		}
	}
	return map[string]func(t *testing.T){
		"logging_middleware.enabled": func(t *testing.T) {
			for _, kind := range []middleware.Kind{middleware.Command, middleware.Query} {
				withSteps("{logging_middleware: {enabled: false}}", kind, "validation retry metrics")(t)
			}
			withSteps("{middleware: {logging: false}}", middleware.Event, "validation metrics")(t)
		},
		"logging_middleware.log_level":          says("log_level: debug", "level=DEBUG msg=command"),
		"logging_middleware.include_payload":    says("include_payload: true", `payload="{\"id\":\"1\",\"password\":\"***\"}"`),
		"logging_middleware.max_payload_length": field("{logging_middleware: {max_payload_length: 100}}", func(w *world) int { return w.config.logOptions(w.logger).MaxPayloadBytes }, 100),
		"validation_middleware.enabled": func(t *testing.T) {
			withSteps("{validation_middleware: {enabled: false}}", middleware.Event, "logging metrics")(t)
			if err := opened(t, "{}").handled(t, order{}, well); !errors.Is(err, middleware.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		},
		"validation_middleware.strict_mode": func(t *testing.T) {
			w := opened(t, "{validation_middleware: {strict_mode: false}}")
			if err := w.handled(t, order{}, well); err != nil || !strings.Contains(w.logs.String(), "handled though it is not valid") {
				t.Errorf("%v, logs %s", err, w.logs)
			}
		},
		"transaction_middleware.enabled": func(t *testing.T) {
			for _, kind := range []middleware.Kind{middleware.Command, middleware.Event} {
				with := stepNames(t, file(t, sqlite+"}, retry_middleware: false}"), kind)
				without := stepNames(t, file(t, sqlite+"}, retry_middleware: false, transaction_middleware: false}"), kind)
				if with != "validation transaction logging metrics" || without != "validation logging metrics" {
					t.Errorf("%s: %q, and %q", kind, with, without)
				}
			}
			if w := opened(t, "{transaction_middleware: {enabled: true}}"); !strings.Contains(w.logs.String(), "has no effect") {
				t.Errorf("logs %s", w.logs)
			}
		},
		"transaction_middleware.isolation_level": refused("{transaction_middleware: {isolation_level: SERIALIZABLE}}", "must be READ_COMMITTED"),
		"transaction_middleware.timeout_seconds": func(t *testing.T) {
			w := opened(t, file(t, sqlite+"}, transaction_middleware: {timeout: 7}}"))
			checkDeadline(t, 7*time.Second, func(check func(context.Context)) error {
				return w.handled(t, order{ID: "1"}, func(ctx context.Context, _ order) (none, error) { check(ctx); return none{}, nil })
			})
		},
		"retry_middleware.enabled": func(t *testing.T) {
			withSteps("{retry_middleware: {enabled: false}}", middleware.Command, "validation logging metrics")(t)
			withSteps("{retry_middleware: {enabled: false}}", middleware.Query, "validation logging metrics")(t)
		},
		"retry_middleware.max_retries": func(t *testing.T) {
			field("{retry_middleware: {max_retries: 6}}", func(w *world) int { return policy(w).Attempts }, 7)(t)
			field("{middleware: {retry: {max_attempts: 6}}}", func(w *world) int { return policy(w).Attempts }, 6)(t)
		},
		"retry_middleware.initial_delay_seconds": field("{retry_middleware: {initial_delay_seconds: 0.2}}",
			func(w *world) time.Duration { return policy(w).Initial + bus(w).Retry.Initial }, 400*time.Millisecond),
		"retry_middleware.max_delay_seconds": field("{retry_middleware: {max_delay_seconds: 4}}",
			func(w *world) time.Duration { return policy(w).Max + bus(w).Retry.Max }, 8*time.Second),
		"retry_middleware.exponential_base": field("{retry_middleware: {exponential_base: 1.5}}", func(w *world) float64 { return policy(w).Factor }, 1.5),
		"retry_middleware.backoff":          field("{retry_middleware: {backoff: fixed}}", func(w *world) float64 { return policy(w).Factor }, 1),
		"metrics_middleware.enabled": func(t *testing.T) {
			withSteps("{metrics_middleware: {enabled: false}}", middleware.Command, "validation logging retry")(t)
			w := opened(t, "{metrics_middleware: {enabled: false}}")
			if err := w.handled(t, order{ID: "1"}, well); err != nil || w.series(t, "") {
				t.Errorf("%v, or there are metrics", err)
			}
		},
		"metrics_middleware.prefix":             metric("prefix: shop", "shop_executions_total", "shop_executions_total"),
		"metrics_middleware.include_histograms": metric("include_histograms: false", "events_executions_total", "executions_total"),
		"metrics_middleware.histogram_buckets":  metric("histogram_buckets: [0.5, 7.25]", "duration_seconds", "upper_bound:7.25"),

		"circuit_breaker_middleware.enabled": withSteps("{circuit_breaker_middleware: true}", middleware.Command,
			"validation logging retry metrics circuit_breaker"),
		"circuit_breaker_middleware.failure_threshold": trip("failure_threshold: 3", 3),
		"circuit_breaker_middleware.recovery_timeout_seconds": func(t *testing.T) {
			w, calls := opened(t, "{retry_middleware: false, circuit_breaker_middleware: {enabled: true, recovery_timeout_seconds: 1h}}"), 0
			err := w.handled(t, order{ID: "1"}, fails(&calls))
			for range 6 {
				_, err = command.Dispatch[none](t.Context(), w.Commands(), order{ID: "1"})
			}
			if err == nil || !strings.Contains(err.Error(), "1h0m0s") {
				t.Errorf("got %v", err)
			}
		},
		"circuit_breaker_middleware.success_threshold": func(t *testing.T) {
			w := opened(t, "{retry_middleware: false, circuit_breaker_middleware: {enabled: true, failure_threshold: 1, recovery_timeout_seconds: 0.001, success_threshold: 1}}")
			down := true
			dispatch := func() error { _, err := command.Dispatch[none](t.Context(), w.Commands(), order{ID: "1"}); return err }
			first := w.handled(t, order{ID: "1"}, func(context.Context, order) (none, error) {
				if down {
					return none{}, store.ErrUnavailable
				}
				return none{}, nil
			})
			down = false
			<-time.After(20 * time.Millisecond)
			second := dispatch() // one success closes it
			down = true
			third := dispatch()
			if !errors.Is(first, store.ErrUnavailable) || second != nil || !errors.Is(third, store.ErrUnavailable) {
				t.Errorf("got %v, %v, %v", first, second, third)
			}
		},
	}
}

// metric checks that commands are measured as they should, and that nothing but the want is there of it.
func metric(text, family, want string) func(*testing.T) {
	return func(t *testing.T) {
		w := opened(t, "{metrics_middleware: {"+text+"}}")
		if err := w.handled(t, order{ID: "1"}, well); err != nil {
			t.Fatal(err)
		}
		families, err := w.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range families {
			all, _ := json.Marshal(f)
			text := f.String() + string(all)
			found = found || strings.Contains(f.GetName(), family) && strings.Contains(strings.ReplaceAll(text, " ", ""), want)
			if strings.Contains(family, "executions") && strings.Contains(text, "HISTOGRAM") && want == "executions_total" {
				t.Errorf("there is the histogram %s", f.GetName())
			}
		}
		if !found {
			t.Errorf("no %s with %s", family, want)
		}
	}
}

// inMemory are options for the memory backends alone.
func inMemory() Options {
	return Options{Stores: []store.Driver{memstore.Driver()}, Brokers: []broker.Driver{membroker.Driver()}}
}
