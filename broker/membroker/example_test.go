package membroker_test

import (
	"context"
	"fmt"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
)

// In tests, the broker within the process stands for the real one; its backlog tells what nobody has handled yet.
func Example() {
	ctx := context.Background()
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	defer func() { _ = b.Close() }()

	group := broker.Group{Name: "mailer", Topics: []string{"orders"}}
	if err := b.Declare(ctx, group); err != nil {
		fmt.Println(err)
	}
	if err := b.Publish(ctx, broker.Message{ID: "m1", Topic: "orders", Key: "7"}); err != nil {
		fmt.Println(err)
	}
	backlog, err := b.Backlog(ctx, group)
	fmt.Println(backlog.Messages, err)
	// Output: 1 <nil>
}
