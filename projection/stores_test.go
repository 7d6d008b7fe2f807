package projection_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/sqlitestore"
)

// opener opens another handle on the same data, such as another process would have.
type opener func() store.Backend

// eachBackend runs a test or benchmark on an empty store of each backend.
func eachBackend[TB interface {
	testing.TB
	Run(name string, f func(TB)) bool
}](tb TB, run func(tb TB, open opener)) {
	tb.Run("memory", func(tb TB) {
		b := memstore.New(memstore.Options{})
		tb.Cleanup(func() { _ = b.Close() })
		run(tb, func() store.Backend { return b })
	})
	tb.Run("sqlite", func(tb TB) {
		path := filepath.Join(tb.TempDir(), "events.db")
		run(tb, func() store.Backend {
			b, err := sqlitestore.Open(tb.Context(), path, sqlitestore.Options{AutoMigrate: true})
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { _ = b.Close() })
			return b
		})
	})
	tb.Run("postgres", func(tb TB) {
		url := postgres(tb)
		id := event.NewID()
		schema := fmt.Sprintf("test_%x", id[:])
		open := func() store.Backend {
			b, err := pgstore.Open(context.Background(), url, pgstore.Options{AutoMigrate: true, Schema: schema})
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { _ = b.Close() })
			return b
		}
		tb.Cleanup(func() { dropSchema(tb, url, schema) })
		run(tb, open)
	})
}

// postgres gives the URL of a test server. Without one the test is skipped, but fails where all services must be there.
func postgres(tb testing.TB) string {
	tb.Helper()
	url := os.Getenv("TEST_POSTGRES_URL")
	if url == "" {
		if os.Getenv("REQUIRE_SERVICES") == "1" || os.Getenv("CI") == "true" {
			tb.Fatal("TEST_POSTGRES_URL is not set, and services are required")
		}
		tb.Skip("set TEST_POSTGRES_URL to the URL of a PostgreSQL server to run this")
	}
	return url
}

func dropSchema(tb testing.TB, url, schema string) {
	ctx := context.Background()
	b, err := pgstore.Open(ctx, url, pgstore.Options{Schema: schema, Pending: true})
	if err != nil {
		tb.Error(err)
		return
	}
	defer func() { _ = b.Close() }()
	err = b.Transact(ctx, func(ctx context.Context) error {
		tx, _ := pgstore.Tx(ctx)
		_, err := tx.Exec(ctx, "drop schema "+schema+" cascade")
		return err
	})
	if err != nil {
		tb.Error(err)
	}
}

// onPostgres runs a test on a store in PostgreSQL whose schema is where unqualified tables are made.
func onPostgres(t *testing.T, run func(t *testing.T, s *shop, execute executor)) {
	url := postgres(t)
	id := event.NewID()
	schema := fmt.Sprintf("test_%x", id[:])
	t.Cleanup(func() { dropSchema(t, url, schema) })
	b, err := pgstore.Open(t.Context(), url, pgstore.Options{AutoMigrate: true, Schema: schema})
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	run(t, newShop(t, b), func(ctx context.Context, sql string, bind ...int64) (values []int64, err error) {
		tx, ok := pgstore.Tx(ctx)
		if !ok {
			return nil, errors.New("no transaction")
		}
		if _, err := tx.Exec(ctx, "set local search_path to "+schema); err != nil {
			return nil, err
		}
		args := make([]any, len(bind))
		for i, v := range bind {
			args[i] = v
		}
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var v int64
			if err := rows.Scan(&v); err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		return values, rows.Err()
	})
}
