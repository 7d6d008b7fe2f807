// Package subscription feeds the events of the log, in order, to code that reacts to them, and never skips one.
//
// A [Subscription] has a name, under which it keeps its place in the log (its checkpoint) in the same backend. It catches
// up in large reads, then follows the log live, woken by the backend where it can and by polling as a safety net. Events
// of one stream are handled in order; with several partitions, streams are spread over them by a hash of their names, and
// partitions are handled at the same time, here or in other processes that run a subscription of the same name: each
// partition has one owner, by a lease. Every write of a checkpoint is fenced by the revision of its record, which a new
// owner changes first, so an owner that lost its lease without noticing cannot move it.
//
// The checkpoint moves only after success, so an event is handled at least once. A [Processor] that writes its own
// effects together with the checkpoint (see [Batch.Commit]) gets each event's effects exactly once.
//
// An event whose handling fails is retried with backoff, and then parked as a dead letter or, as configured, stops the
// subscription, which then reports the fault in its status.
//
// The package knows the store, dead letters and leases. It knows no Go types of events, no read models and no brokers.
package subscription
