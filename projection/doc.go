// Package projection turns events into read models, and keeps them up to date, rebuilds and replaces them.
//
// A [Projection] has a name, handlers for event types ([On]) and, mostly, documents that they write ([Documents], with
// [PerEntity] for the usual case of one document for each stream). The documents are records of the same backend: what a
// batch of events changes is written in one unit with the checkpoint, so each event counts exactly once, on every
// backend. A projection that writes the user's own SQL tables does the same in a transaction ([Options].Transaction).
// Whatever else a handler does happens at least once; it is handed the event's position.
//
// A [Set] runs projections, in as many processes as one likes: each partition of each has one owner, and what a former
// owner still writes is refused. A projection is async (it follows the log), inline ([Inline]: it is part of each append's
// transaction), or is not run at all but folded on demand ([Fold]).
//
// The read model lives in generations. One is live and is what readers see. A rebuild, or a new [Options].Version, makes
// the next one beside it and switches once that is as far as the live one, atomically; the previous generation is kept and
// follows, so that one can switch back. [Control] does this and reports on it from any process, also without the handlers.
//
// The package knows the store, event types and subscriptions. It knows no brokers, no faces and no driver.
package projection
