package redisbroker_test

import (
	"context"
	"fmt"
	"os"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/redisbroker"
)

// A service publishes what others are to know; the group is declared before, so that nothing is missed.
func Example() {
	ctx := context.Background()
	backend, err := redisbroker.Open(ctx, os.Getenv("REDIS_URL"), redisbroker.Options{RequireDurable: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := broker.New(backend, broker.Options{})
	defer func() { _ = b.Close() }()

	group := broker.Group{Name: "mailer", Topics: []string{"orders"}}
	if err := b.Declare(ctx, group); err != nil {
		fmt.Println(err)
	}
	if err := b.Publish(ctx, broker.Message{ID: "m1", Topic: "orders", Key: "7"}); err != nil {
		fmt.Println(err)
	}
}
