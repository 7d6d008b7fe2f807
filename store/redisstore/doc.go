// Package redisstore keeps a store in Redis 6.2 or newer, or in Valkey.
//
// Each operation is one Lua script, which the server runs whole and alone: the checks of an append and its writes are
// one step, so the order of positions is the order in which events become visible, without gaps. Appends of one process
// go in groups: one script serves all that come at once, while each keeps its own expectation and its own result. A
// script blocks the server while it runs, so a group is bounded (some milliseconds), and larger reads and removals are
// made in pages.
//
// Durability is the server's setting, and Redis comes with it off. An acknowledged append is on disk only with
// appendonly yes and appendfsync always; see [Options.RequireDurable], and Describe, which says what holds. On a primary
// with replicas, a failover loses what the new primary had not received; see [Options.WaitReplicas]. Nothing of a store
// has a time to live of Redis's own, so of the maxmemory policies the volatile ones leave it alone and the allkeys ones
// would damage it.
//
// All keys of a store have its name as hash tag, so that a Redis Cluster keeps them in one slot: a store scales up, not
// out. Scripts declare their keys, but for those that depend on what is stored: the pages of the log. They are:
//
//	{name}:meta           hash: schema, head of the log, last revision of records
//	{name}:e:<n>          list: events, 1,024 positions each; position p is entry (p-1) mod 1024 of page (p-1)/1024
//	{name}:ids            hash: event id → position
//	{name}:s:<stream>     list: positions of a stream's events
//	{name}:names          sorted set: names of streams
//	{name}:cut            hash: stream → its first version; of streams that were truncated, negative of ended ones
//	{name}:c:… t:… g:…    lists: positions of the events of a category, of a type, with a tag
//	{name}:r:… k:…        hash and sorted set: records of a bucket and their keys in order
//	{name}:expiry         sorted set: when records expire
//
// Lists were chosen by measurement (Redis 7.0.15, events of 400 bytes, inside of a script): 0.3 µs and 412 bytes for an
// event in a page, against 1.3 µs and 462 bytes in a Redis stream, 0.8 µs and 498 bytes in a hash; 0.2 µs and 5 bytes for
// a position in a list, against 1.0 µs and 11 bytes in a stream, 0.8 µs and 104 bytes in a sorted set.
//
// A user of the server needs all commands on ~{name}:* and, for prompt wake-ups, the channel &{name}:grown.
//
// go-redis itself reports connections that cannot be made on standard error; redis.SetLogger changes that.
//
// The package knows the port and go-redis; it must not know what is above the port.
package redisstore
