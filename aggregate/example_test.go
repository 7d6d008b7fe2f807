package aggregate_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type Placed struct{ Item string }

type Shipped struct{}

// Order is an aggregate: methods check the rules and record events, Apply alone changes the state.
type Order struct {
	aggregate.Root
	Item    string
	Shipped bool
}

func (o *Order) Place(item string) error {
	if o.Item != "" {
		return errors.New("already placed")
	}
	return aggregate.Record(o, Placed{Item: item})
}

func (o *Order) Ship() error {
	if o.Item == "" || o.Shipped {
		return errors.New("nothing to ship")
	}
	return aggregate.Record(o, Shipped{})
}

func (o *Order) Apply(e any) error {
	switch e := e.(type) {
	case Placed:
		o.Item = e.Item
	case Shipped:
		o.Shipped = true
	default:
		return fmt.Errorf("unknown event %T", e)
	}
	return nil
}

func orderRegistry() (*schema.Registry, error) {
	r := schema.NewRegistry()
	return r, errors.Join(
		schema.Register[Placed](r, "order.placed", schema.Options{}),
		schema.Register[Shipped](r, "order.shipped", schema.Options{}),
	)
}

func Example() {
	ctx := context.Background()
	registry, err := orderRegistry()
	if err != nil {
		fmt.Println(err)
		return
	}
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	orders, err := aggregate.NewRepository[Order](s, registry, "order", aggregate.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err = orders.Update(ctx, "7", func(o *Order) error { return o.Place("lamp") }); err != nil {
		fmt.Println(err)
	}
	res, err := orders.Update(ctx, "7", func(o *Order) error { return o.Ship() })
	fmt.Println("now at version", res.Version(), err)
	_, err = orders.Update(ctx, "7", func(o *Order) error { return o.Ship() })
	fmt.Println(err)
	// Output:
	// now at version 2 <nil>
	// nothing to ship
}

func ExampleDecider() {
	ctx := context.Background()
	registry, err := orderRegistry()
	if err != nil {
		fmt.Println(err)
		return
	}
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	shippedFold := aggregate.Fold[bool]{Evolve: func(shipped bool, e any) (bool, error) {
		_, now := e.(Shipped)
		return shipped || now, nil
	}}
	orders, err := aggregate.NewDecider(s, registry, "order", shippedFold, aggregate.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ship := func(shipped bool) ([]any, error) {
		if shipped {
			return nil, errors.New("shipped already")
		}
		return []any{Shipped{}}, nil
	}
	for range 2 {
		_, err := orders.Decide(ctx, "7", ship)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// shipped already
}
