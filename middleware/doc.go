// Package middleware holds what programs put around their handlers: validation, transactions, logging, retries, timeouts,
// authorization. Each is a [Step], written once for commands, queries and events; [Commands], [Queries] and [Events] make
// middleware of the buses from steps, the first being the outermost:
//
//	bus.Use(middleware.Commands(
//		middleware.Validate(),
//		transaction,
//		middleware.Log(middleware.LogOptions{}),
//		retry,
//	))
//
// The order in which they make sense is: validation, transaction, logging, retry, metrics, circuit breaker.
//
// The package knows no library; those that need one are packages of their own below it.
package middleware
