package redisstore_test

import (
	"context"
	"fmt"
	"os"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
)

func Example() {
	ctx := context.Background()
	// A server that could lose what it has acknowledged is refused.
	backend, err := redisstore.Open(ctx, os.Getenv("REDIS_URL"), redisstore.Options{Name: "shop", AutoMigrate: true, RequireDurable: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	events := store.New(backend, store.Options{})
	defer events.Close()

	if _, err := events.Append(ctx, "order-7", store.NoStream(), event.Pending{Type: "order.placed", Data: []byte(`{"total":42}`)}); err != nil {
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
