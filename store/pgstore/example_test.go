package pgstore_test

import (
	"context"
	"fmt"
	"os"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func Example() {
	ctx := context.Background()
	backend, err := pgstore.Open(ctx, os.Getenv("DATABASE_URL"), pgstore.Options{Schema: "shop", AutoMigrate: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	events := store.New(backend, store.Options{})
	defer events.Close()

	// An append and the caller's own SQL in one transaction.
	err = events.Transact(ctx, func(ctx context.Context) error {
		tx, _ := pgstore.Tx(ctx)
		if _, err := tx.Exec(ctx, `insert into paid_orders (id) values ($1)`, "7"); err != nil {
			return err
		}
		_, err := events.Append(ctx, "order-7", store.StreamExists(), event.Pending{Type: "order.paid", Data: []byte(`{"total":42}`)})
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range events.ReadStream(ctx, store.StreamRead{Stream: "order-7"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Version, e.Type)
	}
}
