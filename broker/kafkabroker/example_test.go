package kafkabroker_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/kafkabroker"
)

// A member of a group handles what is published to its topics; what fails for good is kept in a topic of dead letters.
func Example() {
	url := os.Getenv("KAFKA_URL") // kafka://user:password@host1:9092,host2:9092?sasl=scram-sha-512&replication=3
	if url == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	backend, err := kafkabroker.OpenURL(ctx, url)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := broker.New(backend, broker.Options{})
	defer func() { _ = b.Close() }()
	handle := func(_ context.Context, d broker.Delivery) error {
		fmt.Println(d.Topic, d.Key)
		cancel() // enough
		return nil
	}
	mailer, err := broker.NewConsumer(b, broker.Group{Name: "mailer", Topics: []string{"orders"}}, handle,
		broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, "mailer", "orders.dead")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := b.Publish(ctx, broker.Message{ID: "m1", Topic: "orders", Key: "order-7"}); err != nil {
		fmt.Println(err)
	}
	if err := mailer.Run(ctx); err != nil {
		fmt.Println(err)
	}
}
