package main

import (
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Row is an order as lists show it.
type Row struct {
	State     State     `json:"state"`
	Customer  string    `json:"customer"`
	Product   string    `json:"product"`
	Quantity  int       `json:"quantity"`
	Cents     int64     `json:"cents"`
	Tracking  string    `json:"tracking,omitempty"`
	PlacedAt  time.Time `json:"placed_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Day is what came in on one day, in UTC.
type Day struct {
	Placed        int   `json:"placed"`
	Paid          int   `json:"paid"`
	RevenueCents  int64 `json:"revenue_cents"`
	RefundedCents int64 `json:"refunded_cents"`
}

// readModels are the two projections. Their documents are written in one unit with the place in the log, so each event
// counts exactly once, whatever crashes.
type readModels struct {
	orders *projection.Documents[Row] // by the order's id
	days   *projection.Documents[Day] // by date
	list   *projection.Projection
	daily  *projection.Projection
}

func newReadModels(s *store.Store, r *schema.Registry, o projection.Options) *readModels {
	m := &readModels{list: projection.New(s, r, "orders", o), daily: projection.New(s, r, "revenue", o)}

	m.orders = projection.NewDocuments(m.list, "orders", projection.DocumentOptions[Row]{
		Indexes: map[string]func(Row) []string{
			"customer": func(row Row) []string { return []string{row.Customer} },
			"state":    func(row Row) []string { return []string{string(row.State)} },
			"placed":   func(row Row) []string { return []string{row.PlacedAt.UTC().Format(time.RFC3339Nano)} },
		},
	})
	projection.PerEntity(m.orders, func(row *Row, e Placed, r event.Recorded) error {
		*row = Row{
			State: StatePlaced, Customer: e.Customer, Product: e.Product, Quantity: e.Quantity, Cents: e.Cents,
			PlacedAt: r.OccurredAt, UpdatedAt: r.OccurredAt,
		}
		return nil
	})
	projection.PerEntity(m.orders, func(row *Row, _ Paid, r event.Recorded) error {
		row.State, row.UpdatedAt = StatePaid, r.OccurredAt
		return nil
	})
	projection.PerEntity(m.orders, func(row *Row, e Shipped, r event.Recorded) error {
		row.State, row.Tracking, row.UpdatedAt = StateShipped, e.Tracking, r.OccurredAt
		return nil
	})
	projection.PerEntity(m.orders, func(row *Row, _ Cancelled, r event.Recorded) error {
		row.State, row.UpdatedAt = StateCancelled, r.OccurredAt
		return nil
	})

	m.days = projection.NewDocuments(m.daily, "days", projection.DocumentOptions[Day]{})
	projection.Keyed(m.days, onDay[Placed], func(d *Day, _ Placed, _ event.Recorded) error {
		d.Placed++
		return nil
	})
	projection.Keyed(m.days, onDay[Paid], func(d *Day, e Paid, _ event.Recorded) error {
		d.Paid++
		d.RevenueCents += e.Cents
		return nil
	})
	projection.Keyed(m.days, onDay[Cancelled], func(d *Day, e Cancelled, _ event.Recorded) error {
		d.RefundedCents += e.RefundCents
		return nil
	})
	return m
}

// onDay is the key of a day's document.
func onDay[E any](_ E, r event.Recorded) string { return r.OccurredAt.UTC().Format(time.DateOnly) }
