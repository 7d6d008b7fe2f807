// Package natsbroker is a message broker on NATS 2.10 or newer, by JetStream.
//
// One JetStream stream holds all topics. A topic's messages with a key have the subjects <prefix>.<topic>.<n>, where the
// partition n is the FNV-1a hash (32 bits) of the key modulo the number of partitions, which is written into the stream's
// metadata when it is made; those without a key have the subject <prefix>.<topic>.any. A group has a durable pull consumer
// for each of these subjects. All members ask the one without a key. The others are held by one member at a time, so the
// order of a key is kept: who holds which is written in a record of the bucket <stream>-members, changed by
// compare-and-set and renewed while the member lives; docs/decisions/0015 tells why this keeps the order also when members
// die, and what it costs.
//
// An acknowledgement is sent with the wish to be confirmed, and waited for, pipelined: the last one of each consumer stands
// for those before. What a member holds is prolonged ("in progress") three times within the server's time limit.
//
// Durability is the server's setting: by default it writes a message to a file, confirms it, and syncs the file to disk
// within two minutes (sync_interval). A client cannot find out; so on a stream with one replica there is a warning, and
// Describe says it, unless [Options.SyncAlways] says that the server has sync_interval: always. With three replicas a
// message is confirmed by two servers.
//
// A message's headers are NATS headers of the same names, so events are CloudEvents in binary mode as the official Go SDK
// writes and reads them: ce-id, ce-type and so on, as they are, and content-type. Its id is in Nats-Msg-Id, as
// <topic>/<id>, by which the server drops what is published twice within [Options.Dedupe]; its key and time are in
// Lexigram-Key and Lexigram-Time. What other programs publish to these subjects is read too: the id is then their
// Nats-Msg-Id or ce-id, or else "<stream>/<place>"; each header that is legal in the port is one, by its name in lower case.
//
// A user of the server needs to publish to <prefix>.>, and to consume also to $JS.API.>, $JS.ACK.<stream>.> and
// $KV.<stream>-members.>, and to subscribe to _INBOX.> and $KV.<stream>-members.>.
//
// Package natsbroker/embedded runs the server in the process. This package knows the port and nats.go; it must not know
// what is above the port.
package natsbroker
