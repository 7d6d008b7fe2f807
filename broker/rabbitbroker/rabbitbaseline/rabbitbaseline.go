// Package rabbitbaseline is what the RabbitMQ broker is measured against: the same messages through one durable quorum
// queue, published with confirmations that are not waited for one by one, consumed with each message acknowledged, by
// bare amqp091-go. The bench command uses it; programs do not.
package rabbitbaseline

import (
	"context"
	"errors"
	"net/url"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// Baseline works on a scratch queue.
type Baseline struct {
	publishing, consuming *amqp.Connection
	queue                 string

	mu   sync.Mutex
	idle []*amqp.Channel // in confirm mode
}

// Open makes a scratch queue. The URL is that of the broker.
func Open(_ context.Context, brokerURL string) (*Baseline, error) {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return nil, errors.New("open baseline: the URL is not valid")
	}
	query := u.Query()
	for _, ours := range []string{"exchange", "partitions", "mandatory"} {
		query.Del(ours)
	}
	u.RawQuery = query.Encode()
	b := &Baseline{queue: "lexevents-baseline-" + event.NewID().String()}
	if b.publishing, err = amqp.Dial(u.String()); err != nil {
		return nil, errors.New("open baseline: the server cannot be reached")
	}
	if b.consuming, err = amqp.Dial(u.String()); err != nil {
		_ = b.publishing.Close()
		return nil, errors.New("open baseline: the server cannot be reached")
	}
	if err := b.declare(); err != nil {
		return nil, errors.Join(err, b.disconnect())
	}
	return b, nil
}

func (b *Baseline) declare() error {
	c, err := b.consuming.Channel()
	if err != nil {
		return err
	}
	_, err = c.QueueDeclare(b.queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	return errors.Join(err, c.Close())
}

func (b *Baseline) take() (*amqp.Channel, error) {
	b.mu.Lock()
	if n := len(b.idle); n > 0 {
		c := b.idle[n-1]
		b.idle = b.idle[:n-1]
		b.mu.Unlock()
		return c, nil
	}
	b.mu.Unlock()
	c, err := b.publishing.Channel()
	if err != nil {
		return nil, err
	}
	return c, c.Confirm(false)
}

// Publish sends the messages and then waits for all confirmations.
func (b *Baseline) Publish(ctx context.Context, messages []broker.Message) error {
	c, err := b.take()
	if err != nil {
		return err
	}
	sent := make([]*amqp.DeferredConfirmation, len(messages))
	for i := range messages {
		m := &messages[i]
		headers := amqp.Table{"key": m.Key}
		for name, value := range m.Headers {
			headers[name] = value
		}
		sent[i], err = c.PublishWithDeferredConfirm("", b.queue, false, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, MessageId: m.ID, Timestamp: m.Time, Headers: headers, Body: m.Body,
		})
		if err != nil {
			return err
		}
	}
	for _, s := range sent {
		if confirmed, err := s.WaitContext(ctx); err != nil || !confirmed {
			return errors.Join(errors.New("not confirmed"), err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = append(b.idle, c)
	return nil
}

// Consume takes deliveries and acknowledges each.
func (b *Baseline) Consume(ctx context.Context, prefetch int, handled func(n int)) error {
	c, err := b.consuming.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Qos(prefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := c.Consume(b.queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("the channel was closed")
			}
			if err := d.Ack(false); err != nil {
				return err
			}
			handled(1)
		}
	}
}

// Close removes the queue.
func (b *Baseline) Close() error {
	c, err := b.consuming.Channel()
	if err == nil {
		_, err = c.QueueDelete(b.queue, false, false, false)
	}
	return errors.Join(err, b.disconnect())
}

func (b *Baseline) disconnect() error { return errors.Join(b.publishing.Close(), b.consuming.Close()) }
