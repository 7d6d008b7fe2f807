package rabbitbroker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// What there is on the server, for an exchange x, a group g and a topic t:
//
//	x                  the topic exchange. A message without a key has the routing key t, one with a key @p.t, where p is
//	                   its partition
//	x:@unrouted:4      the alternate exchange, where messages go that nobody has asked for. It has no queue unless an
//	                   operator binds one. Its name keeps the number of partitions, since the server compares it
//	x:g:t              the queue of messages without a key, which all members work on
//	x:g:t:@0 …         the queues of the partitions; a single member at a time works on each
//	x:g:@dlq           where the server puts what was delivered too often
//	x:@delay:1024ms    an exchange and its queue, in which messages wait for their redelivery
//
// Groups and topics hold no @ and no colon, so that no two of these names are the same.

// shared is the place of the queue for messages without a key.
const shared = -1

// declareExchange makes what publishers need.
func (b *Broker) declareExchange(c *amqp.Connection) error {
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	unrouted := b.o.Exchange + ":@unrouted:" + strconv.Itoa(b.o.Partitions)
	if err := ch.ExchangeDeclare(unrouted, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return err
	}
	args := amqp.Table{"alternate-exchange": unrouted}
	if err := ch.ExchangeDeclare(b.o.Exchange, amqp.ExchangeTopic, true, false, false, false, args); err != nil {
		return err
	}
	return ch.Close()
}

// partition is where a key belongs.
func (b *Broker) partition(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(b.o.Partitions))
}

// routingKey is how a message of a topic finds the queues.
func (b *Broker) routingKey(topic, key string) string {
	if key == "" {
		return topic
	}
	return slotKey(topic, b.partition(key))
}

func slotKey(topic string, slot int) string {
	if slot == shared {
		return topic
	}
	return "@" + strconv.Itoa(slot) + "." + topic
}

// queueName is the queue of a group for a topic and a slot: a partition, or shared.
func (b *Broker) queueName(group, topic string, slot int) string {
	name := b.o.Exchange + ":" + group + ":" + topic
	if slot != shared {
		name += ":@" + strconv.Itoa(slot)
	}
	return fit(name)
}

func (b *Broker) dlqName(group string) string { return fit(b.o.Exchange + ":" + group + ":@dlq") }

// fit shortens a name to what AMQP takes.
func fit(name string) string {
	if len(name) <= 255 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:200] + "~" + hex.EncodeToString(sum[:16])
}

// ackTimeout is how long a consumer may hold a message before the server takes it for stuck. RabbitMQ before 3.12 does not
// let a queue choose; there it is half an hour, unless its operator has set more.
const ackTimeout = 24 * time.Hour

// Declare implements broker.Backend.
func (b *Broker) Declare(ctx context.Context, g broker.Group) error {
	return b.withChannel(ctx, b.consuming, func(_ *connection, ch *amqp.Channel) error { return b.declare(ch, g) })
}

func (b *Broker) declare(ch *amqp.Channel, g broker.Group) error {
	dlq := b.dlqName(g.Name)
	if _, err := ch.QueueDeclare(dlq, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return err
	}
	for _, topic := range g.Topics {
		for slot := shared; slot < b.o.Partitions; slot++ {
			queue := b.queueName(g.Name, topic, slot)
			args := amqp.Table{
				"x-queue-type":              "quorum",
				"x-delivery-limit":          int64(b.o.DeliveryLimit),
				"x-dead-letter-exchange":    "", // the default one: straight to the queue
				"x-dead-letter-routing-key": dlq,
				"x-dead-letter-strategy":    "at-least-once",
				"x-overflow":                "reject-publish", // at-least-once needs it
				"x-consumer-timeout":        ackTimeout.Milliseconds(),
			}
			if slot != shared {
				args["x-single-active-consumer"] = true
			}
			if _, err := ch.QueueDeclare(queue, true, false, false, false, args); err != nil {
				return err
			}
			if err := ch.QueueBind(queue, slotKey(topic, slot), b.o.Exchange, false, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// RemoveGroup implements broker.Remover. What the server has put into the group's dead-letter queue stays there; an empty
// one goes.
func (b *Broker) RemoveGroup(ctx context.Context, g broker.Group) error {
	return b.withChannel(ctx, b.consuming, func(_ *connection, ch *amqp.Channel) error {
		for _, topic := range g.Topics {
			for slot := shared; slot < b.o.Partitions; slot++ {
				if _, err := ch.QueueDelete(b.queueName(g.Name, topic, slot), false, false, false); err != nil {
					return err
				}
			}
		}
		dlq := b.dlqName(g.Name)
		q, err := ch.QueueDeclare(dlq, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}) // asks, and is no error where it is missing
		if err == nil && q.Messages == 0 {
			_, err = ch.QueueDelete(dlq, false, false, false)
		}
		return err
	})
}

// Backlog implements broker.Gauge. It counts what waits in the queues and what the streams of this Broker hold; what
// members in other processes hold at the moment, at most their prefetch each, is not known to the server's protocol.
func (b *Broker) Backlog(ctx context.Context, g broker.Group) (broker.Backlog, error) {
	var backlog broker.Backlog
	for _, topic := range g.Topics {
		var ready int64
		err := b.withChannel(ctx, b.consuming, func(_ *connection, ch *amqp.Channel) error {
			for slot := shared; slot < b.o.Partitions; slot++ {
				q, err := ch.QueueDeclarePassive(b.queueName(g.Name, topic, slot), true, false, false, false, nil)
				if err != nil {
					return err
				}
				ready += int64(q.Messages)
			}
			return nil
		})
		if isNotFound(err) {
			continue // nobody has declared it
		}
		if err != nil {
			return broker.Backlog{}, err
		}
		backlog.Messages += ready
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.streams {
		backlog.Messages += s.holds(g)
	}
	return backlog, nil
}
