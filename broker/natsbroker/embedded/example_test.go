package embedded_test

import (
	"context"
	"fmt"
	"os"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/broker/natsbroker/embedded"
)

// The event bus of an application that has no broker: a server in its process.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "bus")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()

	server, err := embedded.Start(embedded.Options{StoreDir: folder, SyncAlways: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	backend, err := server.Open(ctx, natsbroker.Options{})
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
	backlog, err := b.Backlog(ctx, group)
	fmt.Println(backlog.Messages, err)
	// Output: 1 <nil>
}
