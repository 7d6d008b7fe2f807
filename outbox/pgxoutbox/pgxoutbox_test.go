package pgxoutbox_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/outbox/pgxoutbox"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

const postgresURL = "TEST_POSTGRES_URL"

func TestWritesInATransactionOfPgxAndRelaysOverItsPool(t *testing.T) {
	url := testserver.URL(t, postgresURL)
	ctx := t.Context()
	pool, err := pgxpool.New(ctx, url)
	must(t, err)
	id := event.NewID()
	schema := fmt.Sprintf("test_%x", id[:])
	_, err = pool.Exec(ctx, "create schema "+schema)
	must(t, err)
	t.Cleanup(func() {
		if _, err := pool.Exec(context.Background(), "drop schema "+schema+" cascade"); err != nil {
			t.Error(err)
		}
		pool.Close()
	})
	db := pgxoutbox.DB(pool)
	t.Cleanup(func() { _ = db.Close() })
	table := outbox.Table{Dialect: outbox.PostgreSQL, Schema: schema}
	_, err = table.Migrate(ctx, db)
	must(t, err)

	tx, err := pool.Begin(ctx)
	must(t, err)
	must(t, table.Write(ctx, pgxoutbox.Tx(tx), broker.Message{ID: "lost", Topic: "mail"}))
	must(t, tx.Rollback(ctx))
	must(t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		return table.Write(ctx, pgxoutbox.Tx(tx), broker.Message{ID: "kept", Topic: "mail", Body: []byte{0, 0xff}}, broker.Message{ID: "too", Topic: "mail"})
	}))

	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	group := broker.Group{Name: "mailer", Topics: []string{"mail"}}
	must(t, b.Declare(ctx, group))
	letters := deadletter.New(store.New(memstore.New(memstore.Options{}), store.Options{}), deadletter.Options{})
	relay, err := outbox.NewTableRelay("mail", db, table, b, letters, outbox.TableOptions{})
	must(t, err)
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- relay.Run(running) }()

	got := make(chan broker.Message, 10)
	consumer, err := broker.NewConsumer(b, group, func(_ context.Context, d broker.Delivery) error {
		got <- d.Message
		return nil
	}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, "mailer", "dead"), Concurrency: 1})
	must(t, err)
	consumed := make(chan error, 1)
	go func() { consumed <- consumer.Run(running) }()
	if m := <-got; m.ID != "kept" || string(m.Body) != "\x00\xff" {
		t.Errorf("got %+v", m)
	}
	if m := <-got; m.ID != "too" {
		t.Errorf("got %+v", m)
	}
	stop()
	must(t, <-done)
	must(t, <-consumed)
	if _, err := pool.Exec(ctx, "select 1"); err != nil {
		t.Errorf("the pool is not usable any more: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
