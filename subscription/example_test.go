package subscription_test

import (
	"context"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/subscription"
)

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer func() { _ = s.Close() }()

	mailer, err := subscription.New(s, "mailer", subscription.Handler(func(_ context.Context, e event.Recorded) error {
		fmt.Println("mail about", e.Type, "of", e.Stream)
		return nil
	}), subscription.Options{Filter: store.Filter{Query: store.Query{{Types: []string{"order.placed", "order.shipped"}}}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- mailer.Run(ctx) }()

	if _, err := s.Append(ctx, "order-7", store.NoStream(), event.Pending{Type: "order.placed"}, event.Pending{Type: "order.paid"}); err != nil {
		fmt.Println(err)
	}
	res, err := s.Append(ctx, "order-7", store.Exactly(2), event.Pending{Type: "order.shipped"})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(mailer.WaitFor(ctx, res.Last))

	stop()
	fmt.Println(<-done)
	status, err := mailer.Status(context.Background())
	fmt.Println(status.State, "at", status.Position, "of", status.Head, err)
	// Output:
	// mail about order.placed of order-7
	// mail about order.shipped of order-7
	// <nil>
	// <nil>
	// stopped at 3 of 3 <nil>
}
