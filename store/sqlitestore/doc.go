// Package sqlitestore keeps a log and its records in one SQLite file: the embedded default. It is pure Go, needs no
// server, and several processes may use the file at once.
//
// # Writing
//
// One connection writes. A goroutine takes the appends of all callers in batches and commits each batch in one
// transaction, with one flush to the disk; each append is checked and inserted after the one before it, and an append
// that is refused takes only its own rows out. Records (Apply) ride along. SQLite's write lock orders the transactions
// of all processes, so positions are max(position) + 1: gapless, in the order in which events become visible.
//
// # Durability
//
// The file is in write-ahead-log mode. With synchronous=full, the default, an append returns after its flush to the
// disk; see [Normal] for the alternative. Checkpoints run beside the writer.
//
// # Reading
//
// Reads have connections of their own and neither wait for writers nor hold them up. A read takes pages of events by
// position or version, each in a short transaction.
//
// # Several processes
//
// A process that cannot get the write lock tries again until Options.BusyTimeout or the end of the caller's context.
// The file must be on a local disk: the write-ahead log needs memory that the processes share.
//
// This package knows the tables and SQLite. It does not know the policy of package store (limits, defaults), nor what
// events or records mean.
package sqlitestore
