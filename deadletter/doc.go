// Package deadletter keeps the messages whose handling has failed for good: durable on every backend, whole, with the
// error, until somebody retries, edits or discards them. Nothing that is dropped elsewhere is dropped silently: it is here.
//
// Those that handle messages (subscriptions, projections, bus handlers, the outbox, sagas) park letters and watch for
// retry requests of their own source; a retry goes through the handler that failed and through no other. Operators list,
// count, retry, edit and discard, from whichever process.
//
// The package knows the store's records. It does not know who its sources are.
package deadletter
