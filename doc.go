// Package events is an event-sourcing and CQRS engine. It puts the parts together: a store of events, the registry of
// their types, buses for commands and queries, a message broker, and what runs in the background.
//
//	engine, err := events.New(events.Options{Backend: backend})
//	defer engine.Close()
//	…register event types with engine.Schema(), handlers with engine.Commands() and engine.Queries()…
//	err = engine.Run(ctx)
//
// The zero Options give an engine in memory. Each part can also be used alone: see packages store, schema, aggregate,
// command and query; and what follows the log: subscription, projection, eventbus and outbox, whose runners AddRunners
// takes.
//
// This package links no driver but the memory ones, and no library for dependency injection: the backend is given to it.
package events
