package rabbitbroker

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// shortestDelay is the least that a message waits for its redelivery.
const shortestDelay = 64 * time.Millisecond

// delayStep rounds a pause up to one for which there is a queue: 64, 96, 128, 192, 256 ms and so on. A queue for each, as
// messages leave a queue in their order only.
func delayStep(pause time.Duration) time.Duration {
	if pause <= shortestDelay {
		return shortestDelay
	}
	steps := uint64((pause + shortestDelay - 1) / shortestDelay)
	whole := uint64(1) << bits.Len64(steps-1) // the next power of two
	if between := whole / 4 * 3; between >= steps {
		whole = between
	}
	return shortestDelay * time.Duration(whole)
}

// delay sends copies of messages to a queue that gives them back to theirs after a while, and then acknowledges the
// messages. A crash in between makes them come twice.
func (s *stream) delay(ctx context.Context, messages []broker.Received, after time.Duration) error {
	b, step := s.broker, delayStep(after)
	exchange, err := b.declareDelay(ctx, step)
	if err != nil {
		return err
	}
	copies := make([]outgoing, len(messages))
	for i := range messages {
		m := &messages[i]
		d, ok := m.Token.(*delivery)
		if !ok || d.source.stream != s {
			return kindOf(broker.ErrInvalid, "message %s is not held by this stream", m.Message.ID)
		}
		content, err := encode(&m.Message)
		if err != nil {
			return err
		}
		content.Headers[headerDeliveries] = int64(m.Deliveries)
		copies[i] = outgoing{index: i, exchange: exchange, key: d.source.queue, content: content}
	}
	var failed error
	b.send(ctx, copies, func(_ int, err error) { failed = err })
	if failed != nil {
		b.mu.Lock()
		delete(b.delays, step) // it may have been removed
		b.mu.Unlock()
		return failed
	}
	return s.Ack(ctx, messages)
}

// declareDelay makes what messages wait in.
func (b *Broker) declareDelay(ctx context.Context, step time.Duration) (exchange string, err error) {
	name := fmt.Sprintf("%s:@delay:%dms", b.o.Exchange, step.Milliseconds())
	b.mu.Lock()
	known := b.delays[step]
	b.mu.Unlock()
	if known {
		return name, nil
	}
	err = b.withChannel(ctx, b.consuming, func(_ *connection, ch *amqp.Channel) error {
		if err := ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
			return err
		}
		_, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{
			"x-queue-type":           "quorum",
			"x-message-ttl":          step.Milliseconds(),
			"x-dead-letter-exchange": "", // the default one, with the routing key that is kept: straight to the queue
			"x-dead-letter-strategy": "at-least-once",
			"x-overflow":             "reject-publish",
		})
		if err != nil {
			return err
		}
		return ch.QueueBind(name, "", name, false, nil)
	})
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delays[step] = true
	return name, nil
}
