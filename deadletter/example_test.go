package deadletter_test

import (
	"context"
	"fmt"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func Example() {
	ctx := context.Background()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer func() { _ = s.Close() }()
	letters := deadletter.New(s, deadletter.Options{})

	// A source parks what it could not handle, in one unit with its checkpoint.
	ops, err := letters.Park(ctx, deadletter.Letter{
		Source: "subscription/mailer", Sequence: "order-7", Error: "no route to host", Attempts: 4,
		Event: &event.Recorded{Stream: "order-7", Position: 12, Type: "order.placed", Data: []byte(`{}`)},
	})
	if err != nil {
		fmt.Println(err)
	}
	if _, err := s.Apply(ctx, append(ops, store.Put("checkpoints", "mailer", []byte("12")))...); err != nil {
		fmt.Println(err)
	}

	// An operator looks, and asks for a retry.
	for letter, err := range letters.List(ctx, deadletter.Filter{Source: "subscription/"}) {
		fmt.Println(letter.ID, letter.Error, err)
		if err := letters.Retry(ctx, letter.ID); err != nil {
			fmt.Println(err)
		}
	}

	// The source sees that, handles the letter, and is done with it.
	for letter, err := range letters.Requested(ctx, "subscription/mailer") {
		fmt.Println("again:", letter.Event.Type, letter.Event.Stream, err)
		ops, err := letters.Resolved(ctx, letter)
		if err != nil {
			fmt.Println(err)
		}
		if _, err := s.Apply(ctx, ops...); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(letters.Count(ctx, deadletter.Filter{}))
	// Output:
	// subscription/mailer/0000000000000000012 no route to host <nil>
	// again: order.placed order-7 <nil>
	// 0 <nil>
}
