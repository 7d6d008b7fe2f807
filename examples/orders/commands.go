package main

import (
	"context"
	"errors"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// The commands. ID is the order's.
type (
	PlaceOrder struct {
		ID       string `json:"id"`
		Customer string `json:"customer"`
		Product  string `json:"product"`
		Quantity int    `json:"quantity"`
		Cents    int64  `json:"cents"`
	}
	PayOrder struct {
		ID    string `json:"id"`
		Cents int64  `json:"cents"`
	}
	ShipOrder struct {
		ID       string `json:"id"`
		Tracking string `json:"tracking"`
	}
	CancelOrder struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
	}
	// FulfilOrder enters that the order was paid and has left the house.
	FulfilOrder struct {
		ID       string `json:"id"`
		Tracking string `json:"tracking"`
	}
	// RecallOrder enters that it came to nothing, also after it was shipped.
	RecallOrder struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
	}
)

// Done is the answer to a command: where its event landed, so that a reader can wait for it.
type Done struct {
	Order    string         `json:"order"`
	Position event.Position `json:"position"`
}

// registerCommands gives each command its handler.
func registerCommands(bus *command.Bus, s *store.Store, r *schema.Registry) error {
	orders, err := aggregate.NewRepository[Order](s, r, category, aggregate.Options{Cache: 1000})
	if err != nil {
		return err
	}
	update := func(ctx context.Context, id string, change func(*Order) error) (Done, error) {
		res, err := orders.Update(ctx, id, change)
		return Done{Order: id, Position: res.Last}, err
	}
	return errors.Join(
		command.Handle(bus, func(ctx context.Context, c PlaceOrder) (Done, error) {
			return update(ctx, c.ID, func(o *Order) error { return o.Place(c.Customer, c.Product, c.Quantity, c.Cents) })
		}),
		command.Handle(bus, func(ctx context.Context, c PayOrder) (Done, error) {
			return update(ctx, c.ID, func(o *Order) error { return o.Pay(c.Cents) })
		}),
		command.Handle(bus, func(ctx context.Context, c ShipOrder) (Done, error) {
			return update(ctx, c.ID, func(o *Order) error { return o.Ship(c.Tracking) })
		}),
		command.Handle(bus, func(ctx context.Context, c CancelOrder) (Done, error) {
			return update(ctx, c.ID, func(o *Order) error { return o.Cancel(c.Reason) })
		}),
		command.Handle(bus, func(ctx context.Context, c FulfilOrder) (Done, error) {
			return update(ctx, c.ID, func(o *Order) error { return o.Fulfil(c.Tracking) })
		}),
		command.Handle(bus, func(ctx context.Context, c RecallOrder) (Done, error) {
			return update(ctx, c.ID, func(o *Order) error { return o.Recall(c.Reason) })
		}),
	)
}
