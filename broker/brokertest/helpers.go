package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

// msg makes a message.
func (s *subject) msg(topic, key string, n int) broker.Message {
	return broker.Message{
		ID: fmt.Sprintf("%s-%s-%s-%d", s.suffix, topic, key, n), Topic: s.name(topic), Key: key, Body: fmt.Appendf(nil, "%d", n),
		Headers: map[string]string{"n": fmt.Sprint(n)},
	}
}

// msgs makes the messages 0 to n-1 of one key.
func (s *subject) msgs(topic, key string, n int) []broker.Message {
	all := make([]broker.Message, n)
	for i := range all {
		all[i] = s.msg(topic, key, i)
	}
	return all
}

func (s *subject) mustPublish(t *testing.T, messages ...broker.Message) {
	t.Helper()
	if err := s.Publish(s.ctx, messages...); err != nil {
		t.Fatal(err)
	}
}

func (s *subject) mustDeclare(t *testing.T, groups ...broker.Group) {
	t.Helper()
	for _, g := range groups {
		if err := s.Declare(s.ctx, g); err != nil {
			t.Fatal(err)
		}
	}
}

// seen records what handlers got. Its zero value is ready.
type seen struct {
	mu         sync.Mutex
	changed    chan struct{}
	deliveries []broker.Delivery
}

func (r *seen) add(d broker.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliveries = append(r.deliveries, d)
	r.pokeLocked()
}

// poke has those who wait look again.
func (r *seen) poke() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pokeLocked()
}

func (r *seen) pokeLocked() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// handle is a Handler that records and succeeds.
func (r *seen) handle(_ context.Context, d broker.Delivery) error {
	r.add(d)
	return nil
}

func (r *seen) all() []broker.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.deliveries)
}

// ids gives the ids that were seen, each once, in the order in which they were first seen.
func (r *seen) ids() []string {
	var (
		ids   []string
		known = map[string]bool{}
	)
	for _, d := range r.all() {
		if !known[d.ID] {
			known[d.ID] = true
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// wait waits until what was seen satisfies a condition.
func (r *seen) wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("%s: did not happen within %v; seen: %d", what, patience, len(r.all()))
		}
	}
}

// waitFor waits until so many deliveries were seen.
func (r *seen) waitFor(t *testing.T, n int) {
	t.Helper()
	r.wait(t, fmt.Sprintf("%d deliveries", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.deliveries) >= n
	})
}

// member is a running consumer.
type member struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// stop ends the member and waits for it.
func (m *member) stop(t *testing.T) {
	t.Helper()
	m.cancel()
	within(t, "the end of a consumer", m.done)
	if m.err != nil {
		t.Errorf("a consumer that was stopped gave %v, want nil", m.err)
	}
}

// join runs a consumer until the test ends or it is stopped.
func (s *subject) join(t *testing.T, b *broker.Broker, g broker.Group, h broker.Handler, o broker.ConsumerOptions) *member {
	t.Helper()
	if o.DeadLetter == nil {
		o.DeadLetter = func(_ context.Context, d broker.Delivery, cause error) error {
			t.Errorf("message %s became a dead letter: %v", d.ID, cause)
			return nil
		}
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.Retry.Initial == 0 {
		o.Retry.Initial = time.Millisecond
	}
	c, err := broker.NewConsumer(b, g, h, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	m := &member{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.err = c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-m.done
	})
	return m
}

// stream opens a stream as a driver gives it.
func (s *subject) stream(t *testing.T, b *broker.Broker, g broker.Group, prefetch int) broker.Stream {
	t.Helper()
	stream, err := b.Backend().Consume(s.ctx, g, prefetch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	return stream
}

// receive takes exactly n messages from a stream.
func (s *subject) receive(t *testing.T, stream broker.Stream, n int) []broker.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	var got []broker.Received
	for len(got) < n {
		more, err := stream.Receive(ctx, n-len(got))
		if err != nil {
			t.Fatalf("receive: %v, after %d of %d messages", err, len(got), n)
		}
		if len(more) == 0 || len(more) > n-len(got) {
			t.Fatalf("asked for 1 to %d messages, got %d", n-len(got), len(more))
		}
		got = append(got, more...)
	}
	return got
}

// silence proves that a stream has nothing to give now.
func (s *subject) silence(t *testing.T, stream broker.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 300*time.Millisecond)
	defer cancel()
	if got, err := stream.Receive(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %d messages (%v), want none", len(got), err)
	}
}

// kill ends what holds a stream, without a word to the broker where the harness can.
func (s *subject) kill(t *testing.T, b *broker.Broker, stream broker.Stream) {
	t.Helper()
	if s.harness.Kill != nil {
		s.harness.Kill(t, b.Backend())
		return
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
}

// within waits for a signal that must come.
func within(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatalf("%s did not happen within %v", what, patience)
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

func idsOf(messages []broker.Message) []string {
	ids := make([]string, len(messages))
	for i := range messages {
		ids[i] = messages[i].ID
	}
	return ids
}
