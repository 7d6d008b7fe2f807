package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func TestTheUsersSQLIsPartOfTheTransaction(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	s := store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{})
	execute(t, dsn, `create table `+schema+`.orders (id text primary key)`)
	refused := errors.New("refused")
	for i, want := range []error{nil, refused} {
		err := s.Transact(t.Context(), func(ctx context.Context) error {
			tx, ok := pgstore.Tx(ctx)
			if !ok {
				t.Fatal("no transaction in the context")
			}
			if _, err := tx.Exec(ctx, `insert into `+schema+`.orders values ($1)`, fmt.Sprint(i)); err != nil {
				return err
			}
			if _, err := s.Append(ctx, "order-1", store.Exactly(event.Version(i)), pending(1)...); err != nil {
				return err
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("round %d: got %v, want %v", i, err, want)
		}
	}
	var orders, events int
	err := connect(t, dsn).QueryRow(t.Context(), `select (select count(*) from `+schema+`.orders), (select count(*) from `+schema+`.events_json where data->>'n' = '1')`).Scan(&orders, &events)
	if err != nil || orders != 1 || events != 1 {
		t.Errorf("%d orders and %d events are stored, want 1 of each (%v)", orders, events, err)
	}
	if _, ok := pgstore.Tx(t.Context()); ok {
		t.Error("a transaction in a context without one")
	}
	var kept context.Context
	if err := s.Transact(t.Context(), func(ctx context.Context) error { kept = ctx; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(kept); err == nil {
		t.Error("the context of a transaction that has ended still works")
	}
}

func TestExpiredRecordsAreSwept(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	s := store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{})
	for i := range 5 {
		if _, err := s.Apply(t.Context(), store.Put("b", fmt.Sprint(i), nil).For(time.Microsecond)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Apply(t.Context(), store.Put("b", "last", nil).For(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := connect(t, dsn).QueryRow(t.Context(), `select count(*) from `+schema+`.records`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d records are left, want 1 (%v)", left, err)
	}
}
