package projection_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type Placed struct {
	Customer string
	Cents    int
}

type Shipped struct{}

// Order is a document of the read model.
type Order struct {
	Customer string
	Cents    int
	Shipped  bool
}

// newOrders is the projection: a list of orders, by number and by customer.
func newOrders(s *store.Store, registry *schema.Registry) (*projection.Projection, *projection.Documents[Order]) {
	p := projection.New(s, registry, "orders", projection.Options{})
	orders := projection.NewDocuments(p, "orders", projection.DocumentOptions[Order]{
		Indexes: map[string]func(Order) []string{"customer": func(o Order) []string { return []string{o.Customer} }},
	})
	projection.PerEntity(orders, func(o *Order, e Placed, _ event.Recorded) error {
		o.Customer, o.Cents = e.Customer, e.Cents
		return nil
	})
	projection.PerEntity(orders, func(o *Order, _ Shipped, _ event.Recorded) error {
		o.Shipped = true
		return nil
	})
	return p, orders
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	registry := schema.NewRegistry()
	err := errors.Join(
		schema.Register[Placed](registry, "order.placed", schema.Options{}),
		schema.Register[Shipped](registry, "order.shipped", schema.Options{}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, orders := newOrders(s, registry)
	set, err := projection.NewSet(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	running := make(chan error)
	go func() { running <- set.Run(ctx) }()

	var last event.Position
	for _, change := range []struct {
		stream event.StreamID
		event  any
	}{{"order-7", Placed{"ada", 1900}}, {"order-8", Placed{"bob", 500}}, {"order-9", Placed{"ada", 70}}, {"order-7", Shipped{}}} {
		e, err := registry.Encode(change.event)
		if err != nil {
			fmt.Println(err)
			return
		}
		res, err := s.Append(ctx, change.stream, store.Any(), e)
		if err != nil {
			fmt.Println(err)
			return
		}
		last = res.Last
	}
	if err := p.WaitFor(ctx, last); err != nil {
		fmt.Println(err)
	}
	for order, err := range orders.Query(ctx, "customer", projection.Equal("ada"), projection.Page{}) {
		fmt.Println(order.Key, order.Value, err)
	}
	stop()
	fmt.Println(<-running)
	// Output:
	// 7 {ada 1900 true} <nil>
	// 9 {ada 70 false} <nil>
	// <nil>
}
