package watermillbroker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// Publisher is a message.Publisher over a broker of ours. It is safe for concurrent use.
type Publisher struct {
	broker *broker.Broker
	key    func(topic string, m *message.Message) string
}

// PublisherOptions are the settings of a Publisher; the zero value works.
type PublisherOptions struct {
	// Key says what keeps the order of a message. Defaults to no order, but for messages that have come from a broker of
	// ours, which keep theirs.
	Key func(topic string, m *message.Message) string
}

// NewPublisher makes a Publisher. The broker stays the caller's: closing the Publisher does not close it.
func NewPublisher(b *broker.Broker, o PublisherOptions) *Publisher {
	if o.Key == nil {
		o.Key = func(_ string, m *message.Message) string { return m.Metadata[metadataKey] }
	}
	return &Publisher{broker: b, key: o.Key}
}

// Publish implements message.Publisher: it returns once the broker has confirmed all messages. The context is that of the
// first one. A message without a UUID gets one. Metadata that no header of a broker can hold travels in a header of its own.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	out := make([]broker.Message, len(messages))
	for i, w := range messages {
		metadata := make(message.Metadata, len(w.Metadata))
		for name, value := range w.Metadata {
			if name != metadataKey && name != metadataTime {
				metadata[name] = value
			}
		}
		headers, err := headersOf(metadata)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		out[i] = broker.Message{ID: w.UUID, Topic: topic, Key: p.key(topic, w), Headers: headers, Body: w.Payload}
		if out[i].ID == "" {
			out[i].ID = event.NewID().String()
		}
	}
	return p.broker.Publish(messages[0].Context(), out...)
}

// Close implements message.Publisher. There is nothing to do.
func (p *Publisher) Close() error { return nil }

// Subscriber is a message.Subscriber over a broker of ours: a member of a consumer group. It is safe for concurrent use.
type Subscriber struct {
	broker *broker.Broker
	group  string
	o      broker.ConsumerOptions

	mu     sync.Mutex
	closed bool
	stop   chan struct{} // closed by Close
	runs   sync.WaitGroup
}

// NewSubscriber makes a Subscriber. Messages that are not acknowledged are tried again as the options say, and then become
// dead letters; DeadLetter is required. Where Timeout is 0 there is none. Messages of one key come one after the other,
// others at the same time, up to Concurrency; programs that expect one at a time set it to 1. The broker stays the caller's.
func NewSubscriber(b *broker.Broker, group string, o broker.ConsumerOptions) (*Subscriber, error) {
	if o.Timeout == 0 {
		o.Timeout = -1
	}
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Default().Warn("subscriber", slog.Any("error", err)) }
	}
	// What was not handed out any more at the end has not failed: it stays with the broker.
	if keep := o.DeadLetter; keep != nil {
		o.DeadLetter = func(ctx context.Context, d broker.Delivery, cause error) error {
			if errors.Is(cause, errEnded) {
				return errEnded
			}
			return keep(ctx, d, cause)
		}
	}
	report := o.OnError
	o.OnError = func(err error) {
		if !errors.Is(err, errEnded) {
			report(err)
		}
	}
	s := &Subscriber{broker: b, group: group, o: o, stop: make(chan struct{})}
	_, err := broker.NewConsumer(b, broker.Group{Name: group, Topics: []string{"any"}}, func(context.Context, broker.Delivery) error { return nil }, o)
	return s, err
}

var (
	errNacked = errors.New("the subscriber's user did not acknowledge it (Nack)")
	errEnded  = errors.New("the subscriber is closed")
)

// SubscribeInitialize implements message.SubscribeInitializer: messages are kept for the group from now on.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	return s.broker.Declare(context.Background(), broker.Group{Name: s.group, Topics: []string{topic}})
}

// Subscribe implements message.Subscriber. The messages end when ctx does, when the Subscriber is closed, and when the
// broker was closed or refuses, which OnError is told.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	g := broker.Group{Name: s.group, Topics: []string{topic}}
	out := make(chan *message.Message)
	ctx, cancel := context.WithCancel(ctx)
	c, err := broker.NewConsumer(s.broker, g, func(inner context.Context, d broker.Delivery) error { return s.handle(ctx, inner, d, out) }, s.o)
	if err == nil {
		err = s.broker.Declare(ctx, g)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		return nil, errEnded
	}
	ended := make(chan struct{})
	s.runs.Go(func() {
		defer close(out)
		defer close(ended)
		defer cancel()
		if err := c.Run(ctx); err != nil {
			s.o.OnError(err)
		}
	})
	s.runs.Go(func() {
		select {
		case <-s.stop:
			cancel()
		case <-ended:
		}
	})
	return out, nil
}

// handle hands a delivery to the user and waits for the answer. subscription ends when no more is to be handed out, inner
// when it must be answered.
func (s *Subscriber) handle(subscription, inner context.Context, d broker.Delivery, out chan<- *message.Message) error {
	metadata, err := metadataOf(d.Headers)
	if err != nil {
		return broker.Permanent(err)
	}
	m := message.NewMessage(d.ID, d.Body)
	m.Metadata = metadata
	if d.Key != "" {
		m.Metadata[metadataKey] = d.Key
	}
	ctx, cancel := context.WithCancel(inner)
	defer cancel()
	m.SetContext(ctx)
	select {
	case out <- m:
	case <-subscription.Done(): // nobody has begun with it
		return errEnded
	case <-inner.Done():
		return inner.Err()
	}
	select {
	case <-m.Acked():
		return nil
	case <-m.Nacked():
		return errNacked
	case <-inner.Done():
		return inner.Err()
	}
}

// Close implements message.Subscriber. It waits until what was handed out is answered, or the grace is over.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	s.mu.Unlock()
	s.runs.Wait()
	return nil
}
