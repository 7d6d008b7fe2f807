package pgstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func TestProcessesThatMigrateAtOnceTakeTurns(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	const processes = 6
	var wg sync.WaitGroup
	backends := make([]*pgstore.Backend, processes)
	for i := range processes {
		wg.Go(func() {
			b, err := pgstore.Open(t.Context(), dsn, pgstore.Options{Schema: schema, AutoMigrate: true})
			if err != nil {
				t.Errorf("process %d: %v", i, err)
				return
			}
			backends[i] = b
		})
	}
	wg.Wait()
	for _, b := range backends {
		if b == nil {
			t.FailNow()
		}
		if _, err := b.Append(t.Context(), store.Commit{Appends: []store.Append{{Stream: "a-1", Expected: store.Any(), Events: pending(1)}}}); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMigrationsAreAskedFor(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	ctx := t.Context()
	_, err := pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema})
	if !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "lexevents migrate up") {
		t.Fatalf("a missing schema: got %v", err)
	}
	b, err := pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema, Pending: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	list, err := b.Migrations(ctx)
	if err != nil || len(list) == 0 || list[0].Applied {
		t.Fatalf("before: %v, %v", list, err)
	}
	applied, err := b.Migrate(ctx)
	if err != nil || len(applied) != len(list) {
		t.Fatalf("applied %v, %v", applied, err)
	}
	if applied, err = b.Migrate(ctx); err != nil || len(applied) != 0 {
		t.Fatalf("again: applied %v, %v", applied, err)
	}
	if list, err = b.Migrations(ctx); err != nil || !list[len(list)-1].Applied {
		t.Fatalf("after: %v, %v", list, err)
	}
	execute(t, dsn, `delete from `+schema+`.migrations where number = `+fmt.Sprint(len(list)))
	if _, err = pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema}); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("an older schema: got %v", err)
	}
	execute(t, dsn, fmt.Sprintf(`insert into %s.migrations values (%d, 'x'), (%d, 'y')`, schema, len(list), len(list)+1))
	if _, err = pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema, AutoMigrate: true}); !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("a newer schema: got %v", err)
	}
}
