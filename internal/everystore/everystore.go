// Package everystore runs a test on an empty store of each backend, for the packages above the store that must work on all
// of them. Only tests import it.
//
// Servers are named by the TEST_ variables of scripts/services. Without one its part is skipped, but fails where all
// services must be there (CI=true, or REQUIRE_SERVICES=1).
package everystore

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/mongostore"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/redisstore"
	"lexigram.dev/events/store/sqlitestore"
)

// Opener opens another handle on the same data, as another process would have. It is closed when the test ends.
type Opener func() store.Backend

// runner is a test or a benchmark.
type runner[TB any] interface {
	testing.TB
	Run(name string, f func(TB)) bool
}

// Each runs a test on an empty store of each backend, as a part named after it.
func Each[TB runner[TB]](tb TB, run func(tb TB, open Opener)) {
	tb.Helper()
	Quick(tb, run)
	tb.Run("mongo", func(tb TB) {
		url, name := testserver.URL(tb, "TEST_MONGO_URL"), freshName()
		tb.Cleanup(func() { dropDatabase(tb, url, name) })
		run(tb, func() store.Backend {
			b, err := mongostore.Open(tb.Context(), url, mongostore.Options{AutoMigrate: true, Database: name, PollInterval: 10 * time.Millisecond})
			return opened(tb, b, err)
		})
	})
}

// Quick is Each without MongoDB, for tests in which many partitions with short leases are renewed at once: what stands for it
// in our tests (scripts/mongofake) does one command at a time, too slowly for them.
func Quick[TB runner[TB]](tb TB, run func(tb TB, open Opener)) {
	tb.Helper()
	Main(tb, run)
	tb.Run("redis", func(tb TB) {
		url, name := testserver.URL(tb, "TEST_REDIS_URL"), freshName()
		tb.Cleanup(func() { unlink(tb, url, name) })
		run(tb, func() store.Backend {
			b, err := redisstore.Open(tb.Context(), url, redisstore.Options{AutoMigrate: true, Name: name, OnWarning: func(string) {}})
			return opened(tb, b, err)
		})
	})
}

// Main is for benchmarks, whose goals are those of memory, SQLite and PostgreSQL.
func Main[TB runner[TB]](tb TB, run func(tb TB, open Opener)) {
	tb.Helper()
	tb.Run("memory", func(tb TB) {
		b := opened(tb, memstore.New(memstore.Options{}), nil)
		run(tb, func() store.Backend { return b })
	})
	tb.Run("sqlite", func(tb TB) {
		path := filepath.Join(tb.TempDir(), "events.db")
		run(tb, func() store.Backend { return File(tb, path) })
	})
	tb.Run("postgres", func(tb TB) {
		url, schema := Postgres(tb)
		run(tb, func() store.Backend {
			b, err := pgstore.Open(tb.Context(), url, pgstore.Options{AutoMigrate: true, Schema: schema})
			return opened(tb, b, err)
		})
	})
}

// File opens the store in an SQLite file, for tests that start other processes on it.
func File(tb testing.TB, path string) store.Backend {
	tb.Helper()
	b, err := sqlitestore.Open(tb.Context(), path, sqlitestore.Options{AutoMigrate: true})
	return opened(tb, b, err)
}

// Postgres gives the URL of a test server, and the name of a schema on it that is dropped when the test ends.
func Postgres(tb testing.TB) (url, schema string) {
	tb.Helper()
	url, schema = testserver.URL(tb, "TEST_POSTGRES_URL"), freshName()
	tb.Cleanup(func() { dropSchema(tb, url, schema) })
	return url, schema
}

func freshName() string {
	id := event.NewID()
	return fmt.Sprintf("test_%x", id[:])
}

// opened closes the backend when the test ends. A context that is handed to Open ends with the test, before the cleanups.
func opened[B store.Backend](tb testing.TB, b B, err error) store.Backend {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// cleaning bounds how long it may take to remove what a test has left.
const cleaning = 30 * time.Second

func dropSchema(tb testing.TB, url, schema string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleaning)
	defer cancel()
	b, err := pgstore.Open(ctx, url, pgstore.Options{Schema: schema, Pending: true})
	if err != nil {
		tb.Error(err)
		return
	}
	defer func() { _ = b.Close() }()
	if err := b.Transact(ctx, func(ctx context.Context) error {
		tx, _ := pgstore.Tx(ctx)
		_, err := tx.Exec(ctx, "drop schema if exists "+schema+" cascade")
		return err
	}); err != nil {
		tb.Error(err)
	}
}

func dropDatabase(tb testing.TB, url, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleaning)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(url))
	if err != nil {
		tb.Error(err)
		return
	}
	defer func() { _ = client.Disconnect(ctx) }()
	if err := client.Database(name).Drop(ctx); err != nil {
		tb.Error(err)
	}
}

func unlink(tb testing.TB, url, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleaning)
	defer cancel()
	o, err := redis.ParseURL(url)
	if err != nil {
		tb.Error("TEST_REDIS_URL is malformed")
		return
	}
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	keys := c.Scan(ctx, 0, "{"+name+"}:*", 5000).Iterator()
	for keys.Next(ctx) {
		if err := c.Unlink(ctx, keys.Val()).Err(); err != nil {
			tb.Error(err)
			return
		}
	}
	if err := keys.Err(); err != nil {
		tb.Error(err)
	}
}
