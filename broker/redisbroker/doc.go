// Package redisbroker is a message broker on Redis 6.2 or newer, or on Valkey, by Redis Streams.
//
// A topic is a number of partitions, each a stream, and one more stream for messages without a key. A message's partition
// is the FNV-1a hash (32 bits) of its key, modulo their number, which is fixed when the topic is made. In each group one
// member at a time holds a partition, so the order of a key is kept; what has no key goes to any member. A member's lease
// is kept by the server and renewed while the member lives; whether it holds is checked in the same script that gives out
// messages, so a member whose lease is over gets nothing more. When it is over, or when the member leaves, what it has
// not acknowledged is given out again, before what is new, with the count of its deliveries.
//
// Durability is the server's setting, and Redis comes with it off. A confirmed message is on disk only with appendonly yes
// and appendfsync always; see [Options.RequireDurable], and Describe, which says what holds. On a primary with replicas, a
// failover loses what the new primary had not received; see [Options.WaitReplicas]. Nothing has a time to live of Redis's
// own, so of the maxmemory policies the volatile ones leave messages alone and the allkeys ones would throw them away.
//
// Entries are trimmed once every group has acknowledged them, but for the newest, [Options.Retain] in each stream, which
// groups that begin with the oldest get. An entry that a group has not read or not acknowledged is never trimmed, unless
// [Options.MaxLen] or [Options.MaxAge] say so. A group that nobody consumes any more therefore keeps everything: remove
// it with [Backend.RemoveGroup].
//
// All keys of a topic have one hash tag, so that a Redis Cluster keeps a topic in one slot, and topics in different ones:
//
//	{prefix:topic}:topic       hash: the number of partitions, and whether unread messages were ever cut
//	{prefix:topic}:p:<n>       streams: the messages with a key
//	{prefix:topic}:free        stream: the messages without one
//	{prefix:topic}:m:<group>   sorted set: members, and until when their leases last, in ms
//	{prefix:topic}:o:<group>   hash: who holds which partition
//	{prefix:topic}:w:<group>   stream of one entry: its growth wakes the members that wait
//	{prefix:topic}:d:<group>   sorted set: messages that pause, as number of the stream and id, and until when, in ms
//
// An entry's fields are ":id", ":time" (ms since 1970), ":key" unless it is empty, then the message's headers as they are,
// by their names, and ":body". Entries that other programs have added are read too: the id is the field "ce-id" or else
// the entry's own, the body is the field ":body", "body", "data" or "payload", or else all fields as a JSON object, and
// each field that is legal as a header is one.
//
// A user of the server needs the commands on streams, hashes and sorted sets, EVAL and EVALSHA, TIME and INFO, on
// ~{prefix:*. Leases compare the server's clock with itself: a step of that clock may end them early.
//
// go-redis itself reports connections that cannot be made on standard error; redis.SetLogger changes that.
//
// The package knows the port and go-redis; it must not know what is above the port.
package redisbroker
