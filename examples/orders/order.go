package main

import (
	"fmt"

	"lexigram.dev/events/aggregate"
)

// category is that of the streams: order-ID.
const category = "order"

// State says how far an order is.
type State string

// The states of an order.
const (
	StateNone      State = ""
	StatePlaced    State = "placed"
	StatePaid      State = "paid"
	StateShipped   State = "shipped"
	StateCancelled State = "cancelled"
)

// Order is the aggregate: it decides what may happen to an order.
type Order struct {
	aggregate.Root
	State State
	Cents int64
}

// Apply implements aggregate.Aggregate.
func (o *Order) Apply(e any) error {
	switch e := e.(type) {
	case Placed:
		o.State, o.Cents = StatePlaced, e.Cents
	case Paid:
		o.State = StatePaid
	case Shipped:
		o.State = StateShipped
	case Cancelled:
		o.State = StateCancelled
	default:
		return fmt.Errorf("order: unknown event %T", e)
	}
	return nil
}

// Refusal says why an order does not do what was asked.
type Refusal struct{ Reason string }

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error { return &Refusal{Reason: fmt.Sprintf(format, args...)} }

// Place begins the order.
func (o *Order) Place(customer, product string, quantity int, cents int64) error {
	switch {
	case o.State != StateNone:
		return refuse("this order exists already")
	case customer == "" || product == "":
		return refuse("an order needs a customer and a product")
	case quantity < 1 || cents < 1:
		return refuse("quantity %d for %d cents: both must be at least 1", quantity, cents)
	}
	return aggregate.Record(o, Placed{Customer: customer, Product: product, Quantity: quantity, Cents: cents})
}

// Pay takes the payment, which must be of the whole price.
func (o *Order) Pay(cents int64) error {
	switch {
	case o.State != StatePlaced:
		return o.cannot("pay")
	case cents != o.Cents:
		return refuse("pay: the price is %d cents, not %d", o.Cents, cents)
	}
	return aggregate.Record(o, Paid{Cents: cents})
}

// Ship sends the order.
func (o *Order) Ship(tracking string) error {
	switch {
	case o.State != StatePaid:
		return o.cannot("ship")
	case tracking == "":
		return refuse("ship: a tracking number is needed")
	}
	return aggregate.Record(o, Shipped{Tracking: tracking})
}

// Cancel ends the order before it is shipped.
func (o *Order) Cancel(reason string) error {
	refund := int64(0)
	switch o.State {
	case StatePlaced:
	case StatePaid:
		refund = o.Cents
	default:
		return o.cannot("cancel")
	}
	return aggregate.Record(o, Cancelled{Reason: reason, RefundCents: refund})
}

// Fulfil takes what fulfilment has done: the payment, and the parcel. Telling it again changes nothing.
func (o *Order) Fulfil(tracking string) error {
	switch o.State {
	case StateShipped:
		return nil
	case StatePlaced:
		if err := o.Pay(o.Cents); err != nil {
			return err
		}
	}
	return o.Ship(tracking)
}

// Recall ends the order, also after it was shipped. Telling it again changes nothing.
func (o *Order) Recall(reason string) error {
	switch o.State {
	case StateCancelled:
		return nil
	case StateShipped:
		return aggregate.Record(o, Cancelled{Reason: reason, RefundCents: o.Cents})
	}
	return o.Cancel(reason)
}

func (o *Order) cannot(what string) error {
	if o.State == StateNone {
		return refuse("%s: there is no such order", what)
	}
	return refuse("%s: the order is %s", what, o.State)
}
