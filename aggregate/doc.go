// Package aggregate makes decisions from events, and stores them as events.
//
// Two styles work over one engine. In the first an aggregate is a struct that embeds [Root], changes its state in Apply
// and nowhere else, and calls [Record] for what happened; a [Repository] loads, saves and updates it. In the second the
// state is any type S, folded by pure functions ([Fold]), and a decision is a function from the state to new events; a
// [Decider] runs it.
//
// Both keep each aggregate in a stream of its own, retry on conflicts, keep snapshots, travel in time, and can cache
// live aggregates. For decisions that span streams there is [Decide], whose consistency boundary is a query.
//
// Events are values of types that a schema.Registry knows. Metadata of the context (correlation, causation, actor, …) is
// stamped on each of them.
//
// The package does not know command buses: handlers call it.
package aggregate
