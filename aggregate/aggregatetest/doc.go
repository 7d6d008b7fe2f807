// Package aggregatetest tests aggregates without a store: given these events, when this is done, then those events are
// recorded, or this error comes.
//
//	aggregatetest.Given[Order](t, Placed{Item: "lamp"}).
//		When(func(o *Order) error { return o.Ship() }).
//		Then(Shipped{})
//
// [Given] is for structs that embed aggregate.Root, [GivenFold] for states that pure functions fold. A difference is
// reported event by event and field by field. The package is for tests; nothing that ships should import it.
package aggregatetest
