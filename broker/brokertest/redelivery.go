package brokertest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func redeliveryClauses() []clause {
	return []clause{
		{rule: "delivers again what a member held when it died", prove: redeliversAfterDeath},
		{rule: "delivers nothing again that was acknowledged", prove: acknowledgedIsOver},
		{rule: "delivers what was given back, in its place", prove: redeliversReleased},
		{rule: "counts how often it has delivered a message", needs: counted, prove: countsDeliveries},
		{rule: "keeps a message that kills its consumers as a dead letter", needs: counted, prove: stopsKillers},
		{rule: "delivers again after a pause and counts, when asked to, and lets the key go on", needs: delayed, prove: redeliversLater},
		{rule: "loses nothing when connections are cut", needs: cuts, prove: survivesCuts},
	}
}

func redeliversAfterDeath(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	want := append(s.msgs("a", "k", 5), s.msgs("a", "", 5)...)
	s.mustPublish(t, want...)
	victim := s.another(t)
	stream := s.stream(t, victim, g, 100)
	s.receive(t, stream, len(want))
	s.kill(t, victim, stream)
	var got seen
	s.join(t, s.another(t), g, got.handle, broker.ConsumerOptions{})
	got.wait(t, "all messages", func() bool { return len(got.ids()) == len(want) })
	var keyed []string
	for _, d := range got.all() {
		if d.Key == "k" {
			keyed = append(keyed, d.ID)
		}
	}
	if s.Features().Ordered && !slices.Equal(keyed, idsOf(want[:5])) {
		t.Errorf("the key's messages came as %v", keyed)
	}
}

func acknowledgedIsOver(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var first, second seen
	one := s.join(t, s.another(t), g, first.handle, broker.ConsumerOptions{})
	done := s.msgs("a", "", 100)
	s.mustPublish(t, done...)
	first.waitFor(t, len(done))
	one.stop(t)
	s.join(t, s.another(t), g, second.handle, broker.ConsumerOptions{})
	marker := s.msg("a", "", 1000)
	s.mustPublish(t, marker)
	second.waitFor(t, 1)
	if ids := second.ids(); !slices.Equal(ids, []string{marker.ID}) {
		t.Errorf("got %v, want the new message only", ids)
	}
}

func redeliversReleased(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	want := s.msgs("a", "k", 4)
	s.mustPublish(t, want...)
	one := s.stream(t, s.another(t), g, 10)
	got := s.receive(t, one, 4)
	if err := errors.Join(one.Ack(s.ctx, got[:1]), one.Release(s.ctx, got[1:], 0), one.Close()); err != nil {
		t.Fatal(err)
	}
	for i, r := range s.receive(t, s.stream(t, s.another(t), g, 10), 3) {
		if s.Features().Ordered && r.Message.ID != want[i+1].ID {
			t.Errorf("message %d is %s, want %s", i, r.Message.ID, want[i+1].ID)
		}
	}
}

func countsDeliveries(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	s.mustPublish(t, s.msg("a", "k", 1))
	for want := 1; want <= 3; want++ {
		victim := s.another(t)
		stream := s.stream(t, victim, g, 10)
		if got := s.receive(t, stream, 1)[0]; got.Deliveries != want {
			t.Errorf("delivery %d says it is number %d", want, got.Deliveries)
		}
		s.kill(t, victim, stream)
	}
}

func stopsKillers(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	s.mustPublish(t, s.msg("a", "k", 1))
	for range 2 {
		victim := s.another(t)
		stream := s.stream(t, victim, g, 10)
		s.receive(t, stream, 1)
		s.kill(t, victim, stream)
	}
	var (
		got   seen
		cause error
	)
	dead := make(chan struct{})
	s.join(t, s.another(t), g, got.handle, broker.ConsumerOptions{
		MaxDeliveries: 2,
		DeadLetter:    func(_ context.Context, _ broker.Delivery, err error) error { cause = err; close(dead); return nil },
	})
	within(t, "the dead letter", dead)
	if !errors.Is(cause, broker.ErrDeliveries) || len(got.all()) != 0 {
		t.Errorf("cause %v, attempts %d", cause, len(got.all()))
	}
}

func redeliversLater(t *testing.T, s *subject) {
	const pause = 300 * time.Millisecond
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		got    seen
		failed atomic.Int64 // when, in ns
		waited atomic.Int64
	)
	s.join(t, s.Broker, g, func(_ context.Context, d broker.Delivery) error {
		defer got.add(d) // last, since the test looks at the others once it is there
		if string(d.Body) != "0" {
			return nil
		}
		if d.Attempt == 1 {
			failed.Store(time.Now().UnixNano())
			return errors.New("not now")
		}
		waited.Store(time.Now().UnixNano() - failed.Load())
		return nil
	}, broker.ConsumerOptions{Redelivery: broker.ByBroker, Retry: broker.Retry{Attempts: 3, Initial: pause, Max: pause}})
	s.mustPublish(t, s.msgs("a", "k", 2)...)
	got.waitFor(t, 3)
	var bodies []string
	for _, d := range got.all() {
		bodies = append(bodies, string(d.Body))
	}
	if last := got.all()[2]; !slices.Equal(bodies, []string{"0", "1", "0"}) || last.Attempt != 2 {
		t.Errorf("got %v, the last as attempt %d; want 0, 1, and 0 as attempt 2", bodies, last.Attempt)
	}
	if w := time.Duration(waited.Load()); w < pause*7/10 {
		t.Errorf("it was delivered again after %v, want about %v", w, pause)
	}
}

func survivesCuts(t *testing.T, s *subject) {
	const messages, keys = 2000, 20
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		got   seen
		order = newOrderCheck()
	)
	order.overlaps = true
	consumers := s.another(t)
	for range 2 {
		s.join(t, consumers, g, order.handler(&got), broker.ConsumerOptions{Prefetch: 50})
	}
	publisher := s.another(t)
	var want []string
	for i := range messages {
		m := s.msg("a", string(rune('a'+i%keys)), i/keys)
		want = append(want, m.ID)
		for { // a publisher publishes again until it is confirmed
			err := publisher.Publish(s.ctx, m)
			if err == nil {
				break
			}
			if !errors.Is(err, broker.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if i%400 == 200 {
			s.harness.Cut(t, consumers.Backend())
			s.harness.Cut(t, publisher.Backend())
		}
	}
	got.wait(t, "all messages", func() bool { return len(got.ids()) == messages })
	if !sameSet(got.ids(), want) {
		t.Error("other messages came than were published")
	}
	if s.Features().Ordered {
		order.report(t)
	}
}
