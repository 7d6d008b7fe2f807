// Package schema maps Go types to the names and versions under which their events are stored, and back.
//
// A [Registry] is told, once per event type, which name the type has in the store and which version its shape has now:
//
//	err := errors.Join(
//		schema.Register[Placed](r, "order.placed", schema.Options{}),
//		schema.Register[Shipped](r, "order.shipped", schema.Options{Version: 2, Upcasters: []schema.Upcaster{
//			{From: 1, Func: addCarrier},
//		}}),
//	)
//
// The stored name is chosen by hand, never derived from the Go type, so renaming a type loses no history. An event of
// an older version is brought up to date by a chain of functions over its encoded data before it is decoded; that the
// chain is whole is checked at registration. Nothing is decoded until [Registry.Decode] is called.
//
// The package knows events as data. It knows nothing of stores, aggregates or buses.
package schema
