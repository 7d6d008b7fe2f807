// Package saga runs business processes that take long, and survive everything: crashes, restarts, slow and failing
// partners, new releases.
//
// There are two styles over one engine. An orchestrated saga ([Define]) is a table of steps with actions and
// compensations. A process manager ([Manage]) is a table of reactions to events and timers, which sends commands. Both carry
// typed data along.
//
// An instance is a stream of events in the store, and nothing else: what happened and what follows from it are appended in
// one unit, so that after a crash it goes on exactly there. Actions, compensations and commands are run at least once, with
// a key that is the same each time ([InfoFrom]). Instances are spread over the processes that run a [Set]; each has one
// owner, by a lease.
//
// The package knows the store, subscriptions and schemas. It gets a command bus as a value, and knows no brokers.
package saga
