package broker_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
)

// A consumer handles what is published, tries a failure again, and keeps what fails for good in a topic of its own.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	defer func() { _ = b.Close() }()

	group := broker.Group{Name: "billing", Topics: []string{"orders"}}
	done := make(chan struct{})
	consumer, err := broker.NewConsumer(b, group, func(_ context.Context, d broker.Delivery) error {
		switch {
		case string(d.Body) == "nonsense":
			return broker.Permanent(errors.New("this is no order"))
		case d.Attempt == 1:
			return errors.New("the bank does not answer")
		}
		fmt.Printf("order %s: billed at attempt %d\n", d.Key, d.Attempt)
		close(done)
		return nil
	}, broker.ConsumerOptions{
		DeadLetter: broker.DeadLetterTo(b, "billing", "orders.dead"),
		OnError:    func(err error) { fmt.Println(err) },
	})
	if err == nil {
		err = b.Declare(ctx, group) // before somebody publishes
	}
	if err == nil {
		err = b.Publish(ctx,
			broker.Message{ID: "m1", Topic: "orders", Key: "7", Body: []byte("nonsense")},
			broker.Message{ID: "m2", Topic: "orders", Key: "7", Body: []byte("12 €")})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- consumer.Run(ctx) }()
	<-done
	stop()
	fmt.Println(<-ended)
	// Output:
	// group billing: message m1 of topic orders: attempt 1 of 4: this is no order
	// group billing: message m2 of topic orders: attempt 1 of 4: the bank does not answer
	// order 7: billed at attempt 2
	// <nil>
}
