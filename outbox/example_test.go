package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// The log as the outbox: recorded events are published as CloudEvents.
func ExampleRelay() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	letters := deadletter.New(s, deadletter.Options{})
	err := b.Declare(ctx, broker.Group{Name: "billing", Topics: []string{"shop.order"}})
	fmt.Println(err)

	relay, err := outbox.NewRelay(s, "public", b, letters, outbox.Options{
		Filter:      store.Filter{Categories: []string{"order"}},
		TopicPrefix: "shop.",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- relay.Run(ctx) }() // or: engine.AddRunners(relay)

	result, err := s.Append(ctx, "order-7", store.NoStream(), event.Pending{Type: "order.placed", Data: []byte(`{"total":12}`)})
	fmt.Println(err, relay.WaitFor(ctx, result.Last))

	consumer, err := broker.NewConsumer(b, broker.Group{Name: "billing", Topics: []string{"shop.order"}}, func(_ context.Context, d broker.Delivery) error {
		fmt.Println(d.Headers["ce-type"], d.Key, string(d.Body))
		stop()
		return nil
	}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, "billing", "dead")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(consumer.Run(ctx), <-done)
	// Output:
	// <nil>
	// <nil> <nil>
	// order.placed order-7 {"total":12}
	// <nil> <nil>
}

// A transactional outbox for who keeps no log: messages are written in the user's own transaction.
func ExampleTable() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()

	table := outbox.Table{Dialect: outbox.SQLite, Name: "outbox"}
	applied, err := table.Migrate(ctx, db)
	fmt.Println(len(applied), err)

	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	fmt.Println(b.Declare(ctx, broker.Group{Name: "mailer", Topics: []string{"mail"}}))
	letters := deadletter.New(store.New(memstore.New(memstore.Options{}), store.Options{}), deadletter.Options{}) // use a durable one
	relay, err := outbox.NewTableRelay("mail", db, table, b, letters, outbox.TableOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- relay.Run(ctx) }()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// … the user's own statements in tx …
	err = table.Write(ctx, tx, broker.Message{Topic: "mail", Key: "ada", Body: []byte("welcome")})
	fmt.Println(err, tx.Commit())
	relay.Wake()

	consumer, err := broker.NewConsumer(b, broker.Group{Name: "mailer", Topics: []string{"mail"}}, func(_ context.Context, d broker.Delivery) error {
		fmt.Println(d.Key, string(d.Body))
		stop()
		return nil
	}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, "mailer", "dead")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(consumer.Run(ctx), <-done)
	// Output:
	// 1 <nil>
	// <nil>
	// <nil> <nil>
	// ada welcome
	// <nil> <nil>
}
