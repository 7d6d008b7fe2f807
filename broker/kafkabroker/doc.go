// Package kafkabroker is the driver of package broker for Apache Kafka, by franz-go.
//
// A topic of the port is a topic of Kafka, and its groups are consumer groups. A message's key chooses its partition as
// in Kafka's own client; messages without a key go to the partitions in turn. Publishing is idempotent and waits for all
// replicas in sync. A group's offset moves when a message was acknowledged, up to the first that is not: after a crash
// the later ones of its partition are delivered again, acknowledged or not.
//
// A partition belongs to one member of a group. So a message that waits behind another of its partition waits for that,
// whatever their keys, where the member is gone or going; use more partitions where that matters. When members come and
// go, the partitions that move are first finished by who has them, for Options.RevokeWait at most. A member that is
// stopping, or that is full and makes no progress, keeps the partitions that it works on and leaves the others.
//
// Headers are mapped so that a CloudEvent in binary mode is one for Kafka too: ce-type becomes ce_type. Messages of other
// programs are read: headers as the port allows them, an id made of topic, partition and offset where they have none.
//
// Kafka keeps a group that has no member for offsets.retention.minutes (a week), and messages for the topic's retention,
// read or not: a group that is away for longer loses them.
//
// Some settings of the client differ from its defaults, since those wait long or for ever: records are not lingered on,
// metadata is asked for again after 250 ms instead of 5 s, a publisher learns after Options.PublishTimeout that the
// broker does not answer, and calls that leave a group give up after 5 s.
package kafkabroker
