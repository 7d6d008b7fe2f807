// Package eventbus publishes events and has them handled: typed publish/subscribe over a broker, here or in other
// processes.
//
// Handlers are registered by event type, by Go interface or for all ([On], [OnAll]), each under a name; then Run takes
// messages from the broker and feeds them. In parallel (the default) each handler is a consumer group of its own: each
// event reaches each handler once over all processes that run a handler of this name, handlers do not wait for each other,
// and each has its own retries. In sequence, the bus is one group and calls its handlers one after the other.
//
// Events travel as CloudEvents 1.0 (binary mode), encoded and, whatever version they were sent in, decoded by the schema
// registry. A message is acknowledged after its handler has succeeded; a handler that fails is tried again with backoff,
// the later events of the same key waiting; after the last attempt the message becomes a dead letter of this handler, in
// the store, from where an operator can have it retried by this handler alone. So each event is handled at least once; a
// message that cannot be read becomes a dead letter too. Nothing is dropped silently.
//
// The package joins broker, schema, deadletter and store. It does not know aggregates, nor how events get from a log to
// the broker (package outbox).
package eventbus
