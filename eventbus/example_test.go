package eventbus_test

import (
	"context"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type OrderPlaced struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

// EventKey keeps the events of an order in their order.
func (e OrderPlaced) EventKey() string { return e.Order }

// A service publishes an event; a handler of a type and one for all events get it, each by itself.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	registry := schema.NewRegistry()
	if err := schema.Register[OrderPlaced](registry, "order.placed", schema.Options{}); err != nil {
		fmt.Println(err)
	}
	messages := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	defer func() { _ = messages.Close() }()
	records := store.New(memstore.New(memstore.Options{}), store.Options{}) // for dead letters
	defer func() { _ = records.Close() }()

	bus, err := eventbus.New(messages, registry, "shop", eventbus.Options{Store: records})
	if err != nil {
		fmt.Println(err)
		return
	}
	mailed, audited := make(chan string, 1), make(chan string, 1)
	err = eventbus.On(bus, "mailer", func(_ context.Context, e OrderPlaced, _ eventbus.Message) error {
		mailed <- fmt.Sprintf("mail about order %s over %d cents", e.Order, e.Cents)
		return nil
	}, eventbus.HandlerOptions{})
	if err == nil {
		err = eventbus.OnAll(bus, "audit", func(_ context.Context, m eventbus.Message) error {
			audited <- fmt.Sprintf("audit %s from %s: %s", m.Event.Type, m.Source, m.Event.Data)
			return nil
		}, eventbus.HandlerOptions{})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- bus.Run(ctx) }()
	if err := bus.Publish(ctx, OrderPlaced{Order: "7", Cents: 1200}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-mailed)
	fmt.Println(<-audited)
	stop()
	fmt.Println(<-ended)
	// Output:
	// mail about order 7 over 1200 cents
	// audit order.placed from /shop: {"order":"7","cents":1200}
	// <nil>
}
