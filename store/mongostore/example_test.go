package mongostore_test

import (
	"context"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/mongostore"
)

func Example() {
	ctx := context.Background()
	backend, err := mongostore.Open(ctx, "mongodb://localhost:27017/shop", mongostore.Options{AutoMigrate: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := store.New(backend, store.Options{})
	defer func() { _ = s.Close() }()

	_, err = s.Append(ctx, "order-7", store.NoStream(), event.Pending{Type: "order.placed", Data: []byte(`{"total":42}`)})
	if err != nil {
		fmt.Println(err)
	}
	for e, err := range s.ReadStream(ctx, store.StreamRead{Stream: "order-7"}) {
		fmt.Println(e.Version, e.Type, string(e.Data), err)
	}
}
