package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	mongodriver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// server gives the URL of a test server, or skips.
func server(t *testing.T, variable string) string {
	t.Helper()
	url := os.Getenv(variable)
	if url == "" {
		if os.Getenv("REQUIRE_SERVICES") == "1" {
			t.Fatalf("%s is not set", variable)
		}
		t.Skipf("set %s to run this", variable)
	}
	return url
}

// remove removes what the stores leave.
func remove(t *testing.T, kind, url, name string) {
	var err error
	ctx := context.Background() // the test's has ended
	switch kind {
	case "postgres":
		var conn *pgx.Conn
		if conn, err = pgx.Connect(ctx, url); err == nil {
			_, err = conn.Exec(ctx, "drop schema "+name+" cascade")
			err = errors.Join(err, conn.Close(ctx))
		}
	case "mongodb":
		var client *mongodriver.Client
		if client, err = mongodriver.Connect(options.Client().ApplyURI(url)); err == nil {
			err = errors.Join(client.Database(name).Drop(ctx), client.Disconnect(ctx))
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// What config puts into URLs is what the real drivers understand: they are opened, written to and removed.
func TestTheRealDriversTakeWhatIsConfigured(t *testing.T) {
	name := fmt.Sprintf("config_%d", time.Now().UnixNano())
	for kind, c := range map[string]struct{ variable, store, bus string }{
		"postgres": {"TEST_POSTGRES_URL", "event_store_backend: postgres, postgres: {dsn: 'URL', events_table: NAME}", ""},
		"mongodb":  {"TEST_MONGO_URL", "event_store_backend: mongodb, mongodb: {uri: 'URL', database: NAME}", ""},
		"redis":    {"TEST_REDIS_URL", "event_store_backend: redis, redis: {url: 'URL', name: NAME}", "event_bus: {backend: redis, redis: {prefix: NAME}}"},
		"rabbitmq": {"TEST_RABBITMQ_URL", "", "event_bus: {backend: rabbitmq}, rabbitmq: {url: 'URL', exchange_name: NAME}"},
		"kafka":    {"TEST_KAFKA_URL", "", "event_bus: {backend: kafka}, kafka: {bootstrap_servers: 'URL', topic_prefix: NAME}"},
		"nats":     {"TEST_NATS_URL", "", "event_bus: {backend: nats}, nats: {url: 'URL', stream: NAME, prefix: NAME}"},
	} {
		t.Run(kind, func(t *testing.T) {
			url := server(t, c.variable)
			text := "{" + strings.Trim(c.store+", "+c.bus, ", ") + "}"
			cfg, err := load(t, strings.NewReplacer("URL", strings.TrimPrefix(url, "kafka://"), "NAME", name).Replace(text))
			if err != nil {
				t.Fatal(err)
			}
			app, err := Open(t.Context(), cfg, Options{Stores: drivers.All(), Brokers: drivers.Brokers()})
			if err != nil {
				t.Fatal(err)
			}
			defer app.Close()
			t.Cleanup(func() { remove(t, kind, url, name) })
			if c.store != "" {
				if _, err := app.Store().Append(t.Context(), event.StreamID("order-"+name), store.NoStream(), event.Pending{Type: "order.placed"}); err != nil {
					t.Error(err)
				}
			}
			if c.bus != "" && kind != "rabbitmq" { // its exchange would stay
				if err := app.Broker().Publish(t.Context(), broker.Message{ID: name, Topic: name}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
