// Package broker is the port to message brokers: [Broker], the portable type that applications use, over [Backend], the
// small interface that a driver writes.
//
// A message goes to a topic and from there to every group that was declared for the topic; in each group one member
// handles it. Messages of one topic and key are handled in the order in which they were published, one after the other;
// those of different keys, and those without a key, at the same time. A message is acknowledged after its handler has
// succeeded; until then it belongs to the group, whatever becomes of the member that holds it. So each is handled at least
// once. One that fails is tried again with backoff, its key waiting behind it, and then goes to the dead-letter function
// that the caller has given.
//
// Policy lives in Broker and [Consumer], once: checking of input, limits, concurrency by key, timeouts, retries, dead
// letters, opening a lost stream again, draining at the end. Drivers stay dumb. What not every broker can do is declared
// in [Features]. The promises that a driver keeps are the clauses of package brokertest; read them as the specification.
//
// This package knows bytes with headers. It has never heard of events, types or stores.
package broker
