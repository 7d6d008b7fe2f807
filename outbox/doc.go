// Package outbox publishes to a broker what was committed: all of it, and nothing that was not.
//
// For who event-sources, the log is the outbox: a [Relay] is a subscription that publishes recorded events, by default as
// CloudEvents. For who does not, a [Table] in the user's own database is: [Table.Write] adds messages in the user's own
// transaction, and a [TableRelay] publishes them.
//
// Both publish at least once, with ids that stay the same; in the order of the stream, or key; and a place is moved on, or a
// message marked as sent, only after the broker has confirmed. An outage of the broker is waited out. A message that is
// itself the cause becomes a dead letter at once or after some attempts, and the others go on.
//
// The package joins the log, or an SQL database, with a broker. It does not know who receives.
package outbox
