// Package pgstore keeps a store in a schema of a PostgreSQL database, version 13 or newer.
//
// Appends of one process are committed in groups: one round trip and one flush of the disk serve all that come at once,
// while each keeps its own expectation and its own result. An advisory lock, held from the first check to the commit,
// makes the order of positions the order in which events become visible, without gaps, whoever else has transactions
// open on the server. The lock belongs to one schema: stores in other schemas do not wait for each other.
//
// Events are plain rows: the table events holds them, the view events_json shows their data as jsonb for people's SQL,
// the table records holds the keyed records. Nothing but this package should write to them.
//
// Connections: reads and records use the pool; beside it there is one connection for appends, and one that listens
// while somebody follows the log. In front of a pooler that shares connections between transactions (PgBouncer), set
// [Function] as the append mode, and default_query_exec_mode=exec in the DSN if it cannot keep prepared statements.
//
// Two things that surprise: a conflict inside a batch shows as error LX001 in the server's log, which is how the batch is
// stopped, and harms nothing; and a condition that names types but no tags looks at every event after its position, for
// which an index on events (type, position) helps where those are many.
//
// Lock order, for those who use Transact: records first, appends last. A transaction that has appended holds the log's
// append lock until it ends, and every other append waits for it. Inside it, use only the context that it gives.
//
// The package knows the port and pgx; it must not know what is above the port.
package pgstore
