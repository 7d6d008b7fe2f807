// Package acceptance holds the behaviours that the tests of the Python package check, of which the feature list was taken:
// one test for each, by its number there (E: integration and end to end, U: a unit's). They are written against the public
// packages alone, as their users would. What each backend and broker promises beyond that stands in store/storetest and
// broker/brokertest.
package acceptance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/query"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// The events of an order.
type (
	Placed struct {
		Customer string `json:"customer"`
		Product  string `json:"product"`
		Quantity int    `json:"quantity"`
	}
	Paid    struct{}
	Shipped struct {
		Tracking string `json:"tracking"`
	}
)

// Order is the aggregate.
type Order struct {
	aggregate.Root
	Status   string
	Product  string
	Quantity int
}

var errTransition = errors.New("the order is not in the state for that")

func (o *Order) Apply(e any) error {
	switch e := e.(type) {
	case Placed:
		o.Status, o.Product, o.Quantity = "placed", e.Product, o.Quantity+e.Quantity
	case Paid:
		o.Status = "paid"
	case Shipped:
		o.Status = "shipped"
	default:
		return fmt.Errorf("unknown event %T", e)
	}
	return nil
}

func (o *Order) ship(tracking string) error {
	if o.Status == "" || o.Status == "shipped" {
		return errTransition
	}
	return aggregate.Record(o, Shipped{tracking})
}

// The commands and the queries.
type (
	Place struct {
		ID string
		Placed
	}
	Ship       struct{ ID, Tracking string }
	OrderOf    struct{ ID string }
	OrdersFrom struct{ Customer string }
)

// View is a document of the read model.
type View struct{ Status, Customer, Product, Tracking string }

// shop is an engine with all of it.
type shop struct {
	*events.Engine
	orders *aggregate.Repository[Order]
	view   *projection.Projection
	views  *projection.Documents[View]
}

func newShop(t *testing.T, o aggregate.Options) *shop {
	t.Helper()
	s := &shop{Engine: events.Stub()}
	t.Cleanup(func() { must(t, s.Close()) })
	var err error
	s.orders, err = aggregate.NewRepository[Order](s.Store(), s.Schema(), "order", o)
	must(t, err)
	register(t, s.Schema())
	s.view = projection.New(s.Store(), s.Schema(), "orders", projection.Options{})
	s.views = projection.NewDocuments(s.view, "orders", projection.DocumentOptions[View]{
		Indexes: map[string]func(View) []string{"customer": func(v View) []string { return []string{v.Customer} }},
	})
	projection.PerEntity(s.views, func(v *View, e Placed, _ event.Recorded) error {
		v.Status, v.Customer, v.Product = "placed", e.Customer, e.Product
		return nil
	})
	projection.PerEntity(s.views, func(v *View, _ Paid, _ event.Recorded) error {
		v.Status = "paid"
		return nil
	})
	projection.PerEntity(s.views, func(v *View, e Shipped, _ event.Recorded) error {
		v.Status, v.Tracking = "shipped", e.Tracking
		return nil
	})
	set, err := projection.NewSet(s.view)
	must(t, err)
	must(t, errors.Join(
		s.AddRunners(set),
		command.Handle(s.Commands(), s.place),
		command.Handle(s.Commands(), s.ship),
		query.Handle(s.Queries(), func(ctx context.Context, q OrderOf) (*Order, error) { return s.orders.Load(ctx, q.ID) }),
		query.Handle(s.Queries(), func(ctx context.Context, q OrdersFrom) (found []View, err error) {
			for d, err := range s.views.Query(ctx, "customer", projection.Equal(q.Customer), projection.Page{}) {
				if err != nil {
					return nil, err
				}
				found = append(found, d.Value)
			}
			return found, nil
		}),
	))
	return s
}

func register(t *testing.T, r *schema.Registry) {
	t.Helper()
	must(t, errors.Join(
		schema.Register[Placed](r, "order.placed", schema.Options{}),
		schema.Register[Paid](r, "order.paid", schema.Options{}),
		schema.Register[Shipped](r, "order.shipped", schema.Options{}),
	))
}

func (s *shop) place(ctx context.Context, c Place) (command.None, error) {
	_, err := s.orders.Update(ctx, c.ID, func(o *Order) error { return aggregate.Record(o, c.Placed) })
	return command.None{}, err
}

func (s *shop) ship(ctx context.Context, c Ship) (command.None, error) {
	_, err := s.orders.Update(ctx, c.ID, func(o *Order) error { return o.ship(c.Tracking) })
	return command.None{}, err
}

// start runs the engine until the test ends.
func (s *shop) start(t *testing.T) { runUntilTheEnd(t, s.Engine) }

// caughtUp waits until the read model has seen all there is.
func (s *shop) caughtUp(t *testing.T) {
	t.Helper()
	head, err := s.Store().Head(t.Context())
	must(t, err)
	must(t, s.view.WaitFor(t.Context(), head))
}

func (s *shop) send(t *testing.T, c any) {
	t.Helper()
	_, err := s.Commands().Dispatch(t.Context(), c)
	must(t, err)
}

// runner is what runs until its context ends.
type runner interface {
	Run(ctx context.Context) error
}

func runUntilTheEnd(t *testing.T, r runner) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// receive gives what comes within a time that is enough for anything.
func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	return got
}

func pending(kind string) event.Pending {
	return event.Pending{Type: kind, ContentType: event.JSON, Data: []byte("{}")}
}

func collect(t *testing.T, s *store.Store, r store.LogRead) (found []event.Recorded) {
	t.Helper()
	for e, err := range s.ReadLog(t.Context(), r) {
		must(t, err)
		found = append(found, e)
	}
	return found
}
