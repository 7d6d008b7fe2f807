package main

import (
	"errors"

	"lexigram.dev/events/schema"
)

// The events of an order.
type (
	// Placed: a customer has ordered something.
	Placed struct {
		Customer string `json:"customer"`
		Product  string `json:"product"`
		Quantity int    `json:"quantity"`
		Cents    int64  `json:"cents"` // of all of it
	}
	// Paid: the whole price was received.
	Paid struct {
		Cents int64 `json:"cents"`
	}
	// Shipped: the order has left the house.
	Shipped struct {
		Tracking string `json:"tracking"`
	}
	// Cancelled: the order came to nothing. What was paid is due back.
	Cancelled struct {
		Reason      string `json:"reason"`
		RefundCents int64  `json:"refund_cents"`
	}
)

// registerEvents gives the events the names under which they are stored.
func registerEvents(r *schema.Registry) error {
	return errors.Join(
		schema.Register[Placed](r, "order.placed", schema.Options{}),
		schema.Register[Paid](r, "order.paid", schema.Options{}),
		schema.Register[Shipped](r, "order.shipped", schema.Options{}),
		schema.Register[Cancelled](r, "order.cancelled", schema.Options{}),
	)
}
