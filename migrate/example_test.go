package migrate_test

import (
	"context"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func Example() {
	ctx := context.Background()
	old := store.New(memstore.New(memstore.Options{}), store.Options{})  // say, sqlitestore
	next := store.New(memstore.New(memstore.Options{}), store.Options{}) // say, pgstore
	for range 3 {
		if _, err := old.Append(ctx, "order-7", store.Any(), event.Pending{Type: "order.changed"}); err != nil {
			fmt.Println(err)
			return
		}
	}

	done, err := migrate.Copy(ctx, old, next, migrate.Options{Records: true})
	if err != nil {
		fmt.Println(err) // say what to do about it, and run it again: it goes on where it was
		return
	}
	fmt.Println(done.Events, "events, up to position", done.Position)

	same, err := migrate.Compare(ctx, old, next, migrate.Comparison{Records: true})
	fmt.Println(same.OK(), same.Source.SHA256 == same.Target.SHA256, err)
	// Output:
	// 3 events, up to position 3
	// true true <nil>
}
