// Package rabbitbroker is the driver of package broker for RabbitMQ, 3.10 and later, over AMQP 0-9-1 (amqp091-go).
//
// Messages go to one topic exchange. A group has for each topic a quorum queue for messages without a key, which all
// members work on, and a few more, its partitions, for those with a key: a key belongs to one partition, and one member at a
// time works on a partition (RabbitMQ's single active consumer). So the order of a key is kept, and a member that dies is
// followed by another within a moment, which begins with what was not acknowledged. Members that came later get their share
// of the partitions from those that have more. docs/decisions/0017-rabbit-broker.md tells why it is so.
//
// Published is confirmed: on the disk of most of the nodes that hold the queue. Messages of one Publish are sent without
// waiting for each. A topic that no group has asked for drops its messages, unless Options.Mandatory makes that an error.
//
// A connection that is lost is made again by the call that needs it, with the exchange and, for a stream, the queues of its
// group; streams on it break, and their consumers open others. Below the dead letters of the port, each group has a queue
// "exchange:group:@dlq", in which the server itself puts what was delivered more often than Options.DeliveryLimit.
//
// Programs without this package read and write the messages too. A message's CloudEvents attributes are in the binary mode
// of the AMQP binding (cloudEvents:type and so on), its content type, id and time in the properties of AMQP; its key is the
// header lexigram:key. What they publish to the exchange with a topic as routing key is delivered as a message without a
// key; for one with a key, the routing key is "@p.topic", where p is the 32-bit FNV-1a sum of the key modulo the number of
// partitions. A queue that is bound with "#.topic" gets all messages of a topic.
//
// The user needs the permissions to configure, write and read what begins with the exchange's name, and to write to and read
// from amq.default.
//
// Limits: a handler may hold a message for 24 hours, before RabbitMQ 3.12 for half an hour (the server's consumer_timeout),
// then it is delivered again. The queues of a stream share its prefetch, but each has at least 32 of it, or all of a smaller
// one; so a consumer that shall handle many messages of one partition at once needs a prefetch of (partitions+1) times as
// many. Messages that a stopping member gives back count as delivered. A Broker's streams can consume from 2,047 queues
// together, the server's default for the channels of a connection.
//
// The package knows messages with keys and headers. It has never heard of events, types or stores.
package rabbitbroker
