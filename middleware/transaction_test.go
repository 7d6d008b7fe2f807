package middleware_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/sqlitestore"
)

func durable(t *testing.T) *store.Store {
	t.Helper()
	backend, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), sqlitestore.Options{AutoMigrate: true})
	must(t, err)
	s := store.New(backend, store.Options{})
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// record appends an event and writes a record.
func record(ctx context.Context, s *store.Store) error {
	stream, err := event.NewStreamID("account", "1")
	if err == nil {
		_, err = s.Append(ctx, stream, store.Any(), event.Pending{Type: "moved", Data: []byte("{}")})
	}
	if err == nil {
		_, err = s.Apply(ctx, store.Put("notes", "k", []byte("v")))
	}
	return err
}

func count(t *testing.T, s *store.Store) (events int, noted bool) {
	t.Helper()
	for _, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		must(t, err)
		events++
	}
	_, err := s.Get(t.Context(), "notes", "k")
	return events, err == nil
}

func TestATransactionTakesEffectAsAWholeAndIsBegunAnew(t *testing.T) {
	s := durable(t)
	transaction, err := middleware.Transaction(s, middleware.RetryOptions{Policy: broker.Retry{Initial: time.Millisecond}})
	must(t, err)
	calls := 0
	bus := busOf(t, func(ctx context.Context, _ transfer) (int, error) {
		calls++
		must(t, record(ctx, s))
		if calls < 3 {
			return 0, store.ErrConflict
		}
		return calls, nil
	}, transaction, retry(t, middleware.RetryOptions{}))
	if got, err := send(t.Context(), bus); got != 3 || err != nil {
		t.Errorf("got %d, %v: within a transaction nothing is tried again, the transaction is", got, err)
	}
	if events, noted := count(t, s); events != 1 || !noted {
		t.Errorf("%d events, noted: %v; want what the last attempt did, and nothing else", events, noted)
	}
}

func TestATransactionThatFailsLeavesNothing(t *testing.T) {
	s := durable(t)
	transaction, err := middleware.Transaction(s, middleware.RetryOptions{})
	must(t, err)
	bus := busOf(t, func(ctx context.Context, _ transfer) (int, error) {
		must(t, record(ctx, s))
		return 0, errors.New("too late")
	}, transaction)
	if _, err := send(t.Context(), bus); err == nil {
		t.Error("it succeeded")
	}
	if events, noted := count(t, s); events != 0 || noted {
		t.Errorf("%d events, noted: %v", events, noted)
	}
}

func TestAStoreWithoutTransactionsIsRefusedAtOnce(t *testing.T) {
	s := store.New(struct{ store.Backend }{memstore.New(memstore.Options{})}, store.Options{})
	if _, err := middleware.Transaction(s, middleware.RetryOptions{}); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestATransactionOfAnotherStoreIsNotTakenForOurs(t *testing.T) {
	ours, theirs := durable(t), durable(t)
	var steps []middleware.Step
	for _, s := range []*store.Store{theirs, ours} {
		step, err := middleware.Transaction(s, middleware.RetryOptions{})
		must(t, err)
		steps = append(steps, step)
	}
	bus := busOf(t, func(ctx context.Context, _ transfer) (int, error) {
		must(t, record(ctx, ours))
		return 0, errors.New("too late")
	}, steps...)
	if _, err := send(t.Context(), bus); err == nil {
		t.Error("it succeeded")
	}
	if events, noted := count(t, ours); events != 0 || noted {
		t.Errorf("%d events, noted: %v: it ran without a transaction", events, noted)
	}
}
