package sqlitestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/sqlitestore"
)

func Example() {
	dir, err := os.MkdirTemp("", "sqlitestore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	backend, err := sqlitestore.Open(ctx, filepath.Join(dir, "events.db"), sqlitestore.Options{AutoMigrate: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	events := store.New(backend, store.Options{})
	defer events.Close()

	res, err := events.Append(ctx, "order-7", store.NoStream(), event.Pending{Type: "order.placed", Data: []byte(`{"total":42}`)})
	fmt.Println(res.Version(), err)

	// An append and the caller's own SQL in one transaction.
	err = events.Transact(ctx, func(ctx context.Context) error {
		conn, _ := sqlitestore.Tx(ctx)
		if err := sqlitex.ExecuteScript(conn, `create table paid (id text); insert into paid values ('order-7');`, nil); err != nil {
			return err
		}
		_, err := events.Append(ctx, "order-7", store.Exactly(1), event.Pending{Type: "order.paid"})
		return err
	})
	fmt.Println(err)

	for e, err := range events.ReadStream(ctx, store.StreamRead{Stream: "order-7"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Version, e.Type)
	}
	// Output:
	// 1 <nil>
	// <nil>
	// 1 order.placed
	// 2 order.paid
}
