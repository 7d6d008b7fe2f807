package watermillbroker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"lexigram.dev/events/broker"
)

// Backend implements broker.Backend over a Publisher and Subscribers of Watermill's. It is safe for concurrent use.
type Backend struct {
	o Options

	mu      sync.Mutex
	streams map[*stream]bool
	closed  chan struct{} // closed by Close
	ending  bool
	calls   sync.WaitGroup // publishing, in goroutines of their own
}

// Options say what a Backend consists of. Publisher and Subscriber are required.
type Options struct {
	// Publisher sends. It should be one that returns after the message is safe. The Backend closes it. Required.
	Publisher message.Publisher

	// Subscriber makes the subscriber of one member of a consumer group. How a group is named is up to the adapter:
	// pass the name on in its configuration. An adapter without groups gives each member all messages, so there may be
	// one member in each group only. The Backend closes what it gets, at the end of the member, or together with
	// the Publisher where it is the same. Required.
	Subscriber func(ctx context.Context, group string) (message.Subscriber, error)

	// Declare makes a group known, so that the topic's messages are kept for it from now on. Defaults to what the
	// subscriber's SubscribeInitialize does, where it has that; with other adapters a group exists once it has a member.
	Declare func(ctx context.Context, topic, group string) error

	// Features are what the adapter promises. Only Ordered, Durable and MaxMessageBytes can be; the rest stays false.
	// Ordered means that the topic's messages, or those of a key, go to one member at a time. Defaults to none.
	Features broker.Features

	// Translate gives an error of the adapter as one of package broker's kinds, by wrapping, or nil where it does not
	// know it. Its text must hold no secrets. What is not translated is broker.ErrUnavailable. Defaults to no translation.
	Translate func(err error) error

	// Name, Version, Location and Durability describe the broker. Default to "watermill" and "not known".
	Name, Version, Location, Durability string

	// Check asks the server whether it is there, for Describe. Defaults to none.
	Check func(ctx context.Context) error
}

// New makes a broker of an adapter of Watermill's. It does no I/O.
func New(o Options) (*Backend, error) {
	if o.Publisher == nil || o.Subscriber == nil {
		return nil, fmt.Errorf("broker over Watermill: %w: a publisher and a function that makes subscribers are needed", broker.ErrInvalid)
	}
	for field, value := range map[*string]string{
		&o.Name: "watermill", &o.Version: "not known", &o.Location: "not known", &o.Durability: "not known: that of the adapter",
	} {
		if *field == "" {
			*field = value
		}
	}
	o.Features = broker.Features{Ordered: o.Features.Ordered, Durable: o.Features.Durable, MaxMessageBytes: o.Features.MaxMessageBytes}
	return &Backend{o: o, streams: map[*stream]bool{}, closed: make(chan struct{})}, nil
}

// Features implements broker.Backend.
func (b *Backend) Features() broker.Features { return b.o.Features }

// Describe implements broker.Backend.
func (b *Backend) Describe(ctx context.Context) (broker.Description, error) {
	err := b.usable(ctx)
	if err == nil && b.o.Check != nil {
		if err = b.o.Check(ctx); err != nil {
			err = b.translate(ctx, err)
		}
	}
	if err != nil {
		return broker.Description{}, err
	}
	return broker.Description{Broker: b.o.Name, Version: b.o.Version, Location: b.o.Location, Durability: b.o.Durability}, nil
}

// usable gives the error of a call that must not begin.
func (b *Backend) usable(ctx context.Context) error {
	select {
	case <-b.closed:
		return broker.ErrClosed
	default:
		return ctx.Err()
	}
}

func (b *Backend) translate(ctx context.Context, err error) error {
	select {
	case <-b.closed:
		return broker.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if b.o.Translate != nil {
		if known := b.o.Translate(err); known != nil {
			return known
		}
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
}

// Publish implements broker.Backend. Messages that follow each other to the same topic are one call of the Publisher.
func (b *Backend) Publish(ctx context.Context, messages []broker.Message) []error {
	for from := 0; from < len(messages); {
		to := from + 1
		for to < len(messages) && messages[to].Topic == messages[from].Topic {
			to++
		}
		if err := b.send(ctx, messages[from:to]); err != nil {
			failed := make([]error, len(messages))
			for i := from; i < len(messages); i++ {
				failed[i] = err
			}
			return failed
		}
		from = to
	}
	return nil
}

// send publishes messages of one topic. A Publisher takes no context of the call, so the wait for it can be given up.
func (b *Backend) send(ctx context.Context, messages []broker.Message) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	out := make([]*message.Message, len(messages))
	for i := range messages {
		out[i] = toWatermill(&messages[i])
		out[i].SetContext(ctx)
	}
	topic, done := messages[0].Topic, make(chan error, 1)
	go func() {
		defer b.calls.Done()
		done <- b.o.Publisher.Publish(topic, out...)
	}()
	select {
	case err := <-done:
		if err != nil {
			return b.translate(ctx, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.closed:
		return broker.ErrClosed
	}
}

// enter begins a call that Close waits for.
func (b *Backend) enter(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ending {
		return broker.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.calls.Add(1)
	return nil
}

// Declare implements broker.Backend.
func (b *Backend) Declare(ctx context.Context, g broker.Group) (err error) {
	if err := b.usable(ctx); err != nil {
		return err
	}
	declare := b.o.Declare
	if declare == nil {
		s, err := b.o.Subscriber(ctx, g.Name)
		if err != nil {
			return b.translate(ctx, err)
		}
		defer func() { err = errors.Join(err, b.closeSubscriber(s)) }()
		initializer, ok := s.(message.SubscribeInitializer)
		if !ok {
			return nil
		}
		declare = func(_ context.Context, topic, _ string) error { return initializer.SubscribeInitialize(topic) }
	}
	for _, topic := range g.Topics {
		if err := declare(ctx, topic, g.Name); err != nil {
			return b.translate(ctx, err)
		}
	}
	return nil
}

// closeSubscriber closes a subscriber that is not the Publisher too.
func (b *Backend) closeSubscriber(s message.Subscriber) error {
	t := reflect.TypeOf(s)
	if t == reflect.TypeOf(b.o.Publisher) && t.Comparable() && any(s) == any(b.o.Publisher) {
		return nil
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("close the subscriber: %w", err)
	}
	return nil
}

// Close implements broker.Backend.
func (b *Backend) Close() error {
	b.mu.Lock()
	if b.ending {
		b.mu.Unlock()
		return nil
	}
	b.ending = true
	close(b.closed)
	streams := b.streams
	b.streams = nil
	b.mu.Unlock()
	var faults []error
	for s := range streams {
		faults = append(faults, s.leave())
	}
	faults = append(faults, b.o.Publisher.Close()) // first, since it may end what is being published
	b.calls.Wait()
	return errors.Join(faults...)
}
