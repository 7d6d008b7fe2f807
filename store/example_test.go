package store_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// One seat, two buyers: both read that it is free, and the condition lets one of them have it.
func Example_condition() {
	ctx := context.Background()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer func() { _ = s.Close() }()

	seat := store.Query{{Types: []string{"seat.sold"}, Tags: []event.Tag{"seat:12A"}}}
	head, err := s.Head(ctx) // what the decision is based on
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, buyer := range []event.StreamID{"customer-ada", "customer-bob"} {
		sold := event.Pending{Type: "seat.sold", Data: []byte("{}"), Tags: []event.Tag{"seat:12A"}}
		_, err := s.AppendIf(ctx, buyer, store.Condition{Query: seat, After: head}, sold)
		fmt.Println(buyer, "bought it:", err == nil, "conflict:", errors.Is(err, store.ErrConflict))
	}
	// Output:
	// customer-ada bought it: true conflict: false
	// customer-bob bought it: false conflict: true
}
