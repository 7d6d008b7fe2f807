// Package mongostore keeps a store in a few collections of a MongoDB database, version 4.4 or newer: a replica set, one
// shard of a cluster, or a stand-alone server. FerretDB 1 works too, within what is said below.
//
// # The log
//
// Each commit is one document of the collection commits. Its _id is the position of its first event, its field last the
// position of its last one. A commit is inserted at exactly head+1, where head is the last of the newest document that
// the writer has seen, so the unique _id is a compare-and-set on the whole log: expected versions, conditions and event
// ids are checked against the log up to head, and the insert fails if anything came in between. Then the writer reads
// what came in, checks again, and tries again. Nothing else is needed: no transaction, no counter, no lock.
//
// Why there are no gaps and no overlaps: the documents form a chain. Say that a writer with a stale head h inserts at
// h+1. The head was h at some time, so the document that was first to follow it has the _id h+1 too, and the insert
// fails; it can never land inside another document's range. Documents are never removed, so an _id that was taken stays
// taken: a truncated commit keeps its document, as a shell. And an insert of ours whose answer was lost can land later
// only at the place for which it was made; we make another attempt only there, or after we have seen that place taken.
//
// What is checked must be the log up to head, nothing older. Heads are learned by reads and writes of majority concern,
// so they are never rolled back, and all reads of the writer are in one causally consistent session, so that what it
// reads after it has learned of head includes everything up to head, also when another server became the primary in
// between. Where the server has no sessions there is only one server.
//
// Reads use the primary and majority read concern. A reader that has seen position p never sees a new event at or below p.
//
// # Records
//
// Records are documents of the collection records. A batch is atomic everywhere, without transactions: its operations
// are written into one document (records, in the collection meta) if that still has the revision at which they were
// checked. From that moment the batch is done, whatever happens to the process; whoever comes next, reader or writer,
// first carries out what is written there. Carrying it out twice, or late, changes nothing (journal.go says why). So all
// batches of a store go one after the other; those that come at once from one process go together.
//
// # Servers without what is needed
//
// Ids are kept unique by an index over the array of a commit's ids, and versions are kept in memory, so that most appends
// read nothing. Before its first append a writer tries whether the server keeps that index (FerretDB 1 does not); where
// not, the ids of each batch are looked up first. FerretDB 1 has two more limits: its updates are not atomic, so that
// several processes must not write records at once, nor truncate one stream; and it uses no index for what it reads, so
// that it fits small logs only.
//
// A replica set wakes followers by a change stream; on other servers the store asks every [Options.PollInterval] whether
// the next position is taken.
//
// A commit must fit into one document: 16 MiB with all names and overhead. Batches of records share that limit.
//
// The package knows the port and the MongoDB driver; it must not know what is above the port.
package mongostore
