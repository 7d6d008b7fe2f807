package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// folder writes files into a new folder and gives the path of the first one.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

func TestTheSampleOfTheReferenceLoadsAsItStands(t *testing.T) {
	c, err := Load(Source{Path: "testdata/sample.yaml", Environ: []string{"DATABASE_URL=postgres://u:p@db/shop"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.EventStoreBackend, want.Postgres.DSN = "postgres", "postgres://u:p@db/shop"
	want.EventBus.Backend, want.EventBus.Redis.URL = "redis", "redis://localhost:6379/0"
	c.loaded = nil
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v", c)
	}
	_, err = Load(Source{Path: "testdata/sample.yaml", Environ: []string{}})
	if err == nil || !strings.Contains(err.Error(), "sample.yaml:4:5: postgres.connection_string: DATABASE_URL is not set") {
		t.Errorf("without the variable: %v", err)
	}
}

// The table at the head of the reference, with each of the values that it names.
func TestTheTableOfTheReferenceLoadsAsItStands(t *testing.T) {
	c := Default()
	if c.EventStoreBackend != "memory" || c.EventBus.Backend != "memory" || !c.Outbox.Enabled || c.Outbox.PollInterval != 5*time.Second || !c.Saga.Enabled {
		t.Errorf("the defaults are others: %+v", c)
	}
	get := map[string]func(*Config) any{
		"EVENT_STORE__BACKEND": func(c *Config) any { return c.EventStoreBackend }, "EVENT_STORE_BACKEND": func(c *Config) any { return c.EventStoreBackend },
		"EVENT_BUS__BACKEND":    func(c *Config) any { return c.EventBus.Backend },
		"OUTBOX__ENABLED":       func(c *Config) any { return c.Outbox.Enabled },
		"OUTBOX__POLL_INTERVAL": func(c *Config) any { return c.Outbox.PollInterval }, "SAGAS__ENABLED": func(c *Config) any { return c.Saga.Enabled },
	}
	sections := []string{
		"LEX_EVENTS__POSTGRES__CONNECTION_STRING=postgres://h/d", "LEX_EVENTS__MONGODB__URI=mongodb://h/d", "LEX_EVENTS__REDIS__URL=redis://h",
		"LEX_EVENTS__RABBITMQ__URL=amqp://h", "LEX_EVENTS__KAFKA__BOOTSTRAP_SERVERS=h:9092",
	}
	for variable, wants := range map[string]map[string]any{
		"EVENT_STORE__BACKEND":  {"postgres": "postgres", "sqlite": "sqlite", "mongodb": "mongodb", "redis": "redis", "memory": "memory"},
		"EVENT_STORE_BACKEND":   {"redis": "redis"},
		"EVENT_BUS__BACKEND":    {"redis": "redis", "memory": "memory", "rabbitmq": "rabbitmq", "kafka": "kafka"},
		"OUTBOX__ENABLED":       {"false": false, "true": true},
		"OUTBOX__POLL_INTERVAL": {"7": 7 * time.Second, "2.5": 2500 * time.Millisecond, "30s": 30 * time.Second},
		"SAGAS__ENABLED":        {"false": false, "true": true},
	} {
		for text, want := range wants {
			c, err := Load(Source{Environ: append([]string{EnvPrefix + variable + "=" + text}, sections...)})
			if err != nil {
				t.Errorf("%s=%s: %v", variable, text, err)
			} else if got := get[variable](c); got != want {
				t.Errorf("%s=%s: got %v", variable, text, got)
			}
		}
	}
}

func TestLaterLayersCountMore(t *testing.T) {
	path := folder(
		t, "application.yaml", "app: {x: 1}\nevents:\n  name: file\n  outbox: {batch_size: 1, table: file}\n  sqlite: {pragmas: {cache_size: 1, busy_timeout: 1}}\n",
		"application.prod.yaml", "events:\n  name: profile\n  outbox: {batch_size: 2}\n  sqlite: {pragmas: {cache_size: 2}}\n",
	)
	c, err := Load(Source{Path: path, Environ: []string{"LEX_PROFILE=prod", "LEX_EVENTS__OUTBOX__BATCH_SIZE=3"}})
	if err != nil {
		t.Fatal(err)
	}
	c.Outbox.PollInterval = time.Minute
	if c.Name != "profile" || c.Outbox.BatchSize != 3 || c.Outbox.Table != "file" || c.SQLite.Pragmas["cache_size"] != "2" || c.SQLite.Pragmas["busy_timeout"] != "1" {
		t.Errorf("got %s, %+v, %v", c.Name, c.Outbox, c.SQLite.Pragmas)
	}
	dir := filepath.Dir(path)
	for key, want := range map[string]Origin{
		"name": Origin(dir + "/application.prod.yaml:2:3"), "outbox.batch_size": "LEX_EVENTS__OUTBOX__BATCH_SIZE",
		"outbox.table": Origin(dir + "/application.yaml:4:27"), "outbox.poll_interval": FromCode, "outbox.enabled": FromDefault,
	} {
		if got := c.Origin(key); got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
	app, err := Open(t.Context(), c, inMemory())
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	if o := app.relayOptions(); o.PollInterval != time.Minute || o.BatchEvents != 3 {
		t.Errorf("code does not count most: %+v", o)
	}
}

func TestAllFaultsAreReportedTogetherWithTheirPlaces(t *testing.T) {
	path := folder(t, "application.yaml", `events:
  event_store_backend: postgress
  outbx:
    enabled: true
  outbox:
    batch_size: many
    poll_interval: -1
    pol_interval: 5
  event_bus:
    backend: rabbitmq
    max_concurrent_handlers: 0
  snapshots: 7
  kafka:
    topic_prefix: [a, b]
  postgres:
    pool_min_size: 30
  saga:
    timeout: 10
    default_timeout_seconds: 11
`)
	_, err := Load(Source{Path: path, Environ: []string{"LEX_EVENTS__EVENT_BUSS__BACKEND=redis", "LEX_EVENTS__OUTBOX__ENABLED=maybe", "LEX_EVENTS_STORE=memory:"}})
	var all *Error
	if !errors.As(err, &all) || !errors.Is(err, ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	at := filepath.Dir(path) + "/application.yaml:"
	for _, want := range []string{
		at + `2:3: event_store_backend: must be one of memory, postgres, sqlite, mongodb, redis, not "postgress"; did you mean postgres?`,
		at + `3:3: outbx: unknown key; did you mean outbox?`,
		at + `6:5: outbox.batch_size: must be a whole number, not "many"`,
		at + `7:5: outbox.poll_interval: must be at least 1ms, not -1s`,
		at + `8:5: outbox.pol_interval: unknown key; did you mean outbox.poll_interval?`,
		at + `11:5: event_bus.max_concurrent_handlers: must be at least 1, not 0`,
		at + `12:3: snapshots: must be true or false`,
		at + `14:5: kafka.topic_prefix: must be a text`,
		at + `16:5: postgres.pool_min_size: must not be more than postgres.pool_max_size, 20`,
		at + `19:5: saga.default_timeout_seconds: says something else than saga.timeout at ` + at + `18:5`,
		`LEX_EVENTS__EVENT_BUSS__BACKEND: event_buss: unknown key; did you mean event_bus?`,
		`LEX_EVENTS__OUTBOX__ENABLED: outbox.enabled: must be true or false, not "maybe"`,
		`rabbitmq.url: is required, since event_bus.backend is rabbitmq (` + at + `10:5)`,
	} {
		if !strings.Contains(err.Error()+"\n", want) {
			t.Errorf("there is no %q in\n%v", want, err)
		}
	}
	if len(all.Faults) != 13 {
		t.Errorf("%d faults, want 13:\n%v", len(all.Faults), err)
	}
}

func TestASyntaxErrorNamesLineAndColumnAndShowsNothing(t *testing.T) {
	for content, want := range map[string]string{
		"events:\n  postgres:\n    dsn: \"postgres://u:secret@h\n": "application.yaml:3:",
		"events:\n  name: a\n   debug: secret\n":                   "application.yaml:",
		"events: {name: a, secret\n":                               "application.yaml:1:",
		"events:\n  name: a\n  name: secret\n":                     "application.yaml:3:3: syntax error: mapping key \"name\" already defined",
		"- secret\n":                                               "application.yaml:1:",
		"events:\n  name: *secret\n":                               "an alias of nothing",
		"events: secret\n":                                         "events: must be a section",
		"evens:\n  name: secret\n":                                 "evens: unknown section; did you mean events?",
		"app:\n  name: secret\n":                                   `has no section "events"`,
		"events: {name: a}\n---\nevents: {name: secret}\n":         "a second document",
		"events: {postgres: {'postgres://u:secret@h/d': 1}}\n":     "postgres.***: unknown key",
		"events: {postgres: {pool_max_size: {secret: 1}}}\n":       "must be a whole number",
		"events: {event_store_backend: postgres, postgres: {dsn: 'http://u:secret@h'}}\n": "must begin with postgres://",
		"events: {event_store_backend: redis, redis: {url: 'redis://:secret@h?%zz'}}\n":   "malformed query",
		"events: {name: \"${postgres.dsn}\", postgres: {dsn: 'postgres://u:secret@h'}}\n": "refers to a secret",
	} {
		_, err := Load(Source{Path: folder(t, "application.yaml", content), Environ: []string{}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(strings.ReplaceAll(err.Error(), "a secret", ""), "secret") {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
}

func TestVariablesAreExpanded(t *testing.T) {
	for text, want := range map[string]string{
		"${SET}":                             "value",
		"a-${SET}-${SET}":                    "a-value-value",
		"${UNSET:-other}":                    "other",
		"${EMPTY:-other}":                    "other",
		"${UNSET:-${EMPTY:-${SET}}}":         "value",
		"$${SET}":                            "!must be 1 to 64",
		"${outbox.table}":                    "outbox",
		"${events.kafka.consumer_group}":     "group-value",
		"${kafka.queue:-a}":                  "!no such key",
		"${UNSET}":                           "!UNSET is not set",
		"${SET":                              "!${ without its }",
		"${a b}":                             "!must hold the name",
		"${rabbitmq.queue_prefix}":           "!values refer to each other in a circle: rabbitmq.queue_prefix → kafka.topic_prefix → rabbitmq.queue_prefix",
		"${events.memory.enable_snapshots}x": "truex",
	} {
		path := folder(t, "application.yaml", fmt.Sprintf("events:\n  name: %q\n  kafka: {consumer_group: 'group-${SET}', topic_prefix: '${rabbitmq.queue_prefix}'}\n  rabbitmq: {queue_prefix: '${kafka.topic_prefix}'}\n", text))
		if !strings.Contains(text, "rabbitmq") {
			path = folder(t, "application.yaml", fmt.Sprintf("events:\n  name: %q\n  kafka: {consumer_group: 'group-${SET}'}\n", text))
		}
		c, err := Load(Source{Path: path, Environ: []string{"SET=value", "EMPTY="}})
		if fault, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: got %v, want %s", text, err, fault)
			}
		} else if err != nil || c.Name != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	// What a variable holds is taken as it is, and one that another layer makes needless need not be set.
	path := folder(t, "application.yaml", "events: {event_store_backend: postgres, postgres: {dsn: '${URL}'}, name: '${UNSET}', projection: {read_models: [{name: '${NAME}'}]}, metrics_middleware: {histogram_buckets: ['${B}', 2]}, outbox: {batch_size: '${N}'}}")
	c, err := Load(Source{Path: path, Environ: []string{"URL=postgres://u:p${X}@h/d", "LEX_EVENTS__NAME=shop", "NAME=totals", "B=1", "N=9"}})
	if err != nil || c.Postgres.DSN != "postgres://u:p${X}@h/d" || c.Projection.ReadModels[0].Name != "totals" || c.MetricsMiddleware.HistogramBuckets[0] != 1 || c.Outbox.BatchSize != 9 {
		t.Errorf("got %v, %+v", err, c)
	}
}

func TestEachAliasStandsForItsKey(t *testing.T) {
	texts := map[string]string{"bool": "false", "int": "120", "string": "sqlite", "Duration": "61", "Secret": "", "[]string": "a:1"}
	urls := map[string]string{"postgres": "postgres://h/d", "mongodb": "mongodb://h/d", "redis": "redis://h", "event_bus": "redis://h"}
	aliases := keyAliases()
	for _, k := range keys() {
		if short, ok := strings.CutSuffix(k.path, "_seconds"); ok {
			aliases[short] = k.path
		}
		for alias, section := range sectionAliases() {
			if rest, ok := strings.CutPrefix(k.path, section+"."); ok {
				aliases[alias+"."+rest] = k.path
			}
		}
	}
	byPath := newNames().keys
	for alias, path := range maps.All(aliases) {
		k := byPath[path]
		if k == nil {
			t.Errorf("%s stands for %s, which is no key", alias, path)
			continue
		}
		text := texts[k.goType.Name()]
		switch {
		case k.secret():
			text = urls[strings.Split(path, ".")[0]]
		case k.only != "":
			text = k.only
		case path == "env":
			text = "test"
		case k.enum != nil:
			text = k.enum[len(k.enum)-1][0]
		case k.goType.Name() == "" || k.goType.Kind() == reflect.Float64 || text == "":
			continue // lists and maps: below
		}
		if k.unit == time.Hour || strings.Contains(path, "_delay_seconds") {
			text = "9"
		}
		variable := EnvPrefix + strings.ToUpper(strings.ReplaceAll(alias, ".", "__")) + "=" + text
		c, err := Load(Source{Environ: []string{variable}})
		if err != nil {
			if !strings.Contains(err.Error(), "is required") && !strings.Contains(err.Error(), "must not be more than postgres") && !strings.Contains(err.Error(), "must be given together") {
				t.Errorf("%s: %v", variable, err)
			}
			continue
		}
		if got := string(c.Origin(path)); got != strings.Split(variable, "=")[0] {
			t.Errorf("%s: %s comes from %s", variable, path, got)
		}
	}
}

func TestTheKeysOfThePythonExampleLoad(t *testing.T) {
	c, err := load(t, `{
  environment: development, use_database_provider: false,
  event_store: {backend: mongodb}, mongodb: {uri: 'mongodb://h', database: shop, collection: events},
  postgres: {schema: shop, batch_size: 100},
  event_bus: {backend: kafka, redis: {url: 'redis://h'}, kafka: {bootstrap_servers: 'h:9092', topic: orders}},
  command_bus: {backend: memory, timeout: 30}, query_bus: {backend: memory, timeout: 10, cache_results: true, cache_ttl: 3600},
  snapshots: {frequency: 100, strategy: count},
  projections: {enabled: true, read_models: [{name: totals, enabled: true, rebuild_on_startup: false}]},
  event_sourcing: {versioning: true, aggregate_cache_enabled: true, aggregate_cache_ttl: 300},
  sagas: {enabled: true, timeout: 300}, outbox: {enabled: true, table: outbox, poll_interval: 5, batch_size: 100},
  handlers: {enabled: true, max_parallel: 10},
  middleware: {logging: true, metrics: {enabled: true}, validation: true, transaction: true, retry: {enabled: true, max_attempts: 3, backoff: exponential}}
}`)
	if err != nil {
		t.Fatal(err)
	}
	if c.EventStoreBackend != "mongodb" || c.MongoDB.DatabaseName != "shop" || c.QueryBus.CacheTTL != time.Hour || c.RetryMiddleware.MaxRetries != 2 || c.Env != "development" || c.topic() != "events.orders" {
		t.Errorf("got %+v", c)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u:secret@h:5432/d?sslmode=disable&password=secret": "postgres://***@h:5432/d?sslmode=disable&password=***",
		"postgres://u:se?secret@h/d":                                   "postgres://***",
		"postgres://u:se/cr@secret@h/d":                                "postgres://***@h/d",
		"host=h password=secret":                                       "***",
		"secret":                                                       "***",
		"kafka://u:secret@a:1,b:2":                                     "kafka://***@a:1,b:2",
		"redis://:secret@h/0":                                          "redis://***@h/0",
		"mongodb+srv://u:secret@h/?replicaSet=a":                       "mongodb+srv://***@h/?replicaSet=a",
		"nats://h?token=secret&secret":                                 "nats://h?token=***&secret",
		"":                                                             "",
	} {
		s := Secret(url)
		text, _ := json.Marshal(map[string]any{"s": s})
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", slog.Any("s", s), slog.Any("struct", struct{ S Secret }{s}))
		printed := fmt.Sprintf("%v %+v %#v %s %q", s, struct{ S Secret }{s}, s, s, s) + string(text) + logged.String()
		if got := s.Masked(); got != want {
			t.Errorf("%s: shows %s, want %s", url, got, want)
		}
		if strings.HasSuffix(url, "&secret") {
			continue // a parameter's name
		}
		if strings.Contains(printed, "secret") {
			t.Errorf("%s: prints %s", url, printed)
		}
	}
	c, err := load(t, "{event_store_backend: postgres, postgres: {dsn: 'postgres://u:secret@h/d'}, kafka: {username: ada, password: secret}}")
	if err != nil {
		t.Fatal(err)
	}
	settings, _ := json.Marshal(c.Settings())
	if text := fmt.Sprintf("%v %+v %#v %s", c, *c, c, settings); strings.Contains(text, "secret@") || strings.Contains(text, "u:secret") || strings.Contains(text, `"secret"`) {
		t.Error("the password is shown")
	}
	_, err = Open(t.Context(), c, Options{})
	if err == nil || strings.Contains(err.Error(), "u:secret") || !strings.Contains(err.Error(), "event_store_backend postgres") {
		t.Errorf("got %v", err)
	}
}

func TestAURLAndAKeyMustNotContradictEachOther(t *testing.T) {
	refused("{event_store_backend: postgres, postgres: {dsn: 'postgres://h/d?pool_max_conns=3', pool_max_size: 9}}", "postgres.dsn: has a parameter pool_max_conns", "postgres.pool_max_size, 9")(t)
	refused("{event_store_backend: mongodb, mongodb: {uri: 'mongodb://h/a', database: b}}", "names another database")(t)
	refused("{event_store_backend: postgres, postgres: {dsn: 'postgres://h/d', schema: a, events_table: b}}", "postgres.events_table")(t)
	storeURL("{event_store_backend: postgres, postgres: {dsn: 'postgres://h/d?pool_max_conns=3'}}", "pool_max_conns=3&")(t)
	storeURL("{event_store_backend: mongodb, mongodb: {uri: 'mongodb://u:p@h'}}", "&authSource=admin")(t)
}

func TestANamedFileMustBeThere(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(Source{Path: filepath.Join(dir, "a.yaml"), Environ: []string{}})
	if err == nil || !strings.Contains(err.Error(), "a.yaml: cannot be read: no such file") {
		t.Errorf("got %v", err)
	}
	_, err = Load(Source{Path: folder(t, "application.yaml", "events:\n"), Profile: "prod", Environ: []string{}})
	if err == nil || !strings.Contains(err.Error(), "application.prod.yaml: cannot be read") {
		t.Errorf("got %v", err)
	}
	_, err = Load(Source{Profile: "../x", Environ: []string{}})
	if err == nil || !strings.Contains(err.Error(), "LEX_PROFILE: must be the name of a profile") {
		t.Errorf("got %v", err)
	}
}
