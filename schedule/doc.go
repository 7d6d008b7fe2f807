// Package schedule delivers events and commands later: at a time, after a while, or again and again by a cron expression.
//
// A pending delivery is two small records in the store, in the order in which deliveries are due, and nothing else: it costs
// neither memory nor time until then, and survives every restart. What is late is delivered at the start. An event is
// appended exactly once. A command is dispatched at least once, with a key that is the same each time ([InfoFrom]), and
// again with pauses where it fails; at last it is a dead letter, so that nothing is lost and nothing waits behind it.
//
// All processes that run a [Scheduler] over one store share the work by leases.
//
// The package knows the store, schemas and dead letters. It gets a command bus and a cron parser as values (schedule/cron
// has one), and knows no sagas and no brokers.
package schedule
