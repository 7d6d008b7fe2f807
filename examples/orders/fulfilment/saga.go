package fulfilment

import (
	"context"
	"errors"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
)

// Name is that of the saga; its instances bear the ids of their orders.
const Name = "fulfilment"

// Order is what is fulfilled, and what the suppliers have said.
type Order struct {
	ID          string `json:"id"`
	Product     string `json:"product"`
	Quantity    int    `json:"quantity"`
	Cents       int64  `json:"cents"`
	Reservation string `json:"reservation,omitempty"`
	Payment     string `json:"payment,omitempty"`
	Tracking    string `json:"tracking,omitempty"`
	Mail        string `json:"mail,omitempty"`
	Confirmed   string `json:"confirmed,omitempty"`
}

// Supplier does one thing for orders.
type Supplier interface {
	// Do does it, once for each key, and gives a reference: of a reservation, a payment, a parcel. An error says that
	// nothing was done; one marked by saga.Unknown that it may have been, one by saga.Permanent that asking again is of no use.
	Do(ctx context.Context, o Order, key event.ID) (reference string, err error)

	// Undo takes back what was done under the key done, once for each key of its own. It may find nothing; Do under the
	// key done is refused from then on, since a request that was given up may arrive late.
	Undo(ctx context.Context, o Order, done, key event.ID) error
}

// Suppliers are all that fulfilment needs.
type Suppliers struct {
	Warehouse Supplier // reserves
	Payments  Supplier // charge
	Carrier   Supplier // ships
	Mail      Supplier // notifies; it cannot take a mail back, and is never asked to
	Books     Supplier // confirm: the order is fulfilled, or not after all
}

// Define makes the saga. Where suppliers fail it undoes, in reverse, what was done or may have been.
func Define(s Suppliers) (*saga.Definition[Order], error) {
	return saga.Define(Name, 1,
		saga.Step[Order]{
			Name:         "reserve",
			Action:       do(s.Warehouse, func(o *Order) *string { return &o.Reservation }),
			Compensation: undo(s.Warehouse),
		},
		saga.Step[Order]{
			Name:         "charge",
			Action:       do(s.Payments, func(o *Order) *string { return &o.Payment }),
			Compensation: undo(s.Payments),
		},
		saga.Step[Order]{Name: "send", Parallel: []saga.Step[Order]{
			{
				Name:         "ship",
				Action:       do(s.Carrier, func(o *Order) *string { return &o.Tracking }),
				Compensation: undo(s.Carrier),
			},
			{Name: "notify", Action: do(s.Mail, func(o *Order) *string { return &o.Mail })},
		}},
		saga.Step[Order]{
			Name:         "confirm",
			Action:       do(s.Books, func(o *Order) *string { return &o.Confirmed }),
			Compensation: undo(s.Books),
		},
	)
}

// do asks a supplier under the key of the step, which is the same at each attempt, and keeps the reference.
func do(s Supplier, reference func(*Order) *string) saga.Action[Order] {
	return func(ctx context.Context, o *Order) error {
		info, ok := saga.InfoFrom(ctx)
		if !ok {
			return errNoSaga
		}
		given, err := s.Do(ctx, *o, info.Key)
		if err == nil {
			*reference(o) = given
		}
		return err
	}
}

func undo(s Supplier) saga.Action[Order] {
	return func(ctx context.Context, o *Order) error {
		info, ok := saga.InfoFrom(ctx)
		if !ok {
			return errNoSaga
		}
		return s.Undo(ctx, *o, info.Undoes, info.Key)
	}
}

var errNoSaga = errors.New("called outside of a saga")
