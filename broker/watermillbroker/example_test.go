package watermillbroker_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/watermillbroker"
)

// Any adapter of Watermill's is a broker. With one that has groups, the group's name goes into its configuration.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	channel := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, nil)
	backend, err := watermillbroker.New(watermillbroker.Options{
		Publisher:  channel,
		Subscriber: func(context.Context, string) (message.Subscriber, error) { return channel, nil },
		Name:       "gochannel",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := broker.New(backend, broker.Options{})
	if err := b.Publish(ctx, broker.Message{ID: "m1", Topic: "orders", Key: "7", Body: []byte("12 €")}); err != nil {
		fmt.Println(err)
	}
	consumer, err := broker.NewConsumer(b, broker.Group{Name: "billing", Topics: []string{"orders"}}, func(_ context.Context, d broker.Delivery) error {
		fmt.Printf("%s of %s: %s\n", d.ID, d.Key, d.Body)
		stop()
		return nil
	}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, "billing", "orders.dead")})
	if err == nil {
		err = consumer.Run(ctx)
	}
	fmt.Println(err, b.Close())
	// Output:
	// m1 of 7: 12 €
	// <nil> <nil>
}
