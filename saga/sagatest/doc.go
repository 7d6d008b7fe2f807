// Package sagatest tests sagas without a store, goroutines or waiting, on a clock that jumps.
//
// An orchestrated saga is given its data, and each attempt at an action an end: by the action itself, by another one, by an
// error, by a timeout, by the death of its worker.
//
//	sagatest.Given(t, fulfilment, Order{Item: "lamp"}).
//		Fails("charge", saga.Permanent(errNoMoney)).
//		Run().
//		ThenStatus(saga.StatusCompensated).
//		ThenSteps("reserve").
//		ThenUndone("reserve")
//
// A process manager is given events.
//
//	sagatest.GivenEvents(t, payment, Placed{Order: "7"}).
//		WhenTimer("unpaid").
//		ThenCommands(Remind{Order: "7"}).
//		ThenTimers(sagatest.Timer{Name: "unpaid", In: 24 * time.Hour})
//
// The rules are those of production: the kit runs a saga.Trial over a store in memory. What is not as expected is reported
// together with the timeline of the instance. The package is for tests; nothing that ships should import it.
package sagatest
