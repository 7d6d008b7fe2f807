package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
)

// faulty is the memory driver with faults that are switched on.
type faulty struct {
	*membroker.Broker
	features broker.Features

	mu       sync.Mutex
	publish  func(messages []broker.Message) []error // before anything is sent; nil: none
	consume  func() error
	ack      func() error
	owned    func(token any) bool
	consumed int
	acks     []int // messages in each acknowledgement
	sent     int
}

func newFaulty() *faulty {
	f := &faulty{Broker: membroker.New(membroker.Options{})}
	f.features = f.Broker.Features()
	return f
}

func (f *faulty) Features() broker.Features { return f.features }

func (f *faulty) Publish(ctx context.Context, messages []broker.Message) []error {
	f.mu.Lock()
	fail := f.publish
	f.sent += len(messages)
	f.mu.Unlock()
	if fail != nil {
		return fail(messages)
	}
	return f.Broker.Publish(ctx, messages)
}

func (f *faulty) Consume(ctx context.Context, g broker.Group, prefetch int) (broker.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.consumed++
	if f.consume != nil {
		if err := f.consume(); err != nil {
			return nil, err
		}
	}
	s, err := f.Broker.Consume(ctx, g, prefetch)
	return &faultyStream{s, f}, err
}

type faultyStream struct {
	broker.Stream
	faulty *faulty
}

func (s *faultyStream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	received, err := s.Stream.Receive(ctx, limit)
	for i := range received {
		received[i].Owned = s.faulty.owned
	}
	return received, err
}

func (s *faultyStream) Ack(ctx context.Context, messages []broker.Received) error {
	s.faulty.mu.Lock()
	s.faulty.acks = append(s.faulty.acks, len(messages))
	s.faulty.mu.Unlock()
	if s.faulty.ack != nil {
		if err := s.faulty.ack(); err != nil { // may take its time
			return err
		}
	}
	return s.Stream.Ack(ctx, messages)
}

func message(id string) broker.Message {
	return broker.Message{ID: id, Topic: "orders", Key: "7", Body: []byte(id)}
}

// orders is the group that tests consume as.
func orders() broker.Group { return broker.Group{Name: "billing", Topics: []string{"orders"}} }

// consume runs a consumer until the test ends or stop, which gives what Run returned.
func consume(t *testing.T, b *broker.Broker, h broker.Handler, o broker.ConsumerOptions) (stop func() error) {
	t.Helper()
	if o.DeadLetter == nil {
		o.DeadLetter = func(_ context.Context, d broker.Delivery, cause error) error {
			t.Errorf("dead letter %s: %v", d.ID, cause)
			return nil
		}
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	c, err := broker.NewConsumer(b, orders(), h, o)
	must(t, err)
	must(t, b.Declare(t.Context(), orders()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return stop
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errBoom = errors.New("boom")

func sleep(d time.Duration) { <-time.After(d) }
