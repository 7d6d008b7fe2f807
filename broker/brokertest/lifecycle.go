package brokertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func lifecycleClauses() []clause {
	return []clause{
		{rule: "describes itself", prove: describes},
		{rule: "refuses every call after it was closed, and may be closed again", prove: refusesAfterClose},
		{rule: "ends those who publish and consume when it is closed while busy", prove: closesWhileBusy},
		{rule: "does nothing for a context that has ended", prove: refusesEndedContexts},
		{rule: "forgets a group that is removed, where it can, and gives it nothing older when it is declared again", prove: removesGroups},
		{rule: "ends a wait for messages when its context ends", prove: endsWaits},
		{rule: "keeps confirmed messages when the publisher's handle is closed", prove: outlivesPublisher},
	}
}

func describes(t *testing.T, s *subject) {
	d, err := s.Describe(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d.Broker == "" || d.Version == "" || d.Location == "" || d.Durability == "" || d.Features != s.Features() {
		t.Errorf("the description lacks something: %+v", d)
	}
	if strings.Contains(d.Location, "password") || strings.Contains(d.Location, "@") {
		t.Errorf("the location may hold a secret: %s", d.Location)
	}
}

func removesGroups(t *testing.T, s *subject) {
	g, other := s.group("g", "a"), s.group("h", "a")
	if err := s.RemoveGroup(s.ctx, g); errors.Is(err, broker.ErrUnsupported) {
		t.Skip("it cannot remove groups")
	} else if err != nil {
		t.Errorf("remove a group that there never was: %v", err)
	}
	for _, group := range []broker.Group{g, other} {
		if err := s.Declare(s.ctx, group); err != nil {
			t.Fatal(err)
		}
	}
	s.mustPublish(t, s.msg("a", "k", 1))
	if err := s.RemoveGroup(s.ctx, g); err != nil {
		t.Fatal(err)
	}
	s.mustPublish(t, s.msg("a", "k", 2))
	if err := s.Declare(s.ctx, g); err != nil {
		t.Fatal(err)
	}
	s.mustPublish(t, s.msg("a", "k", 3))
	if got := s.receive(t, s.stream(t, s.Broker, g, 10), 1); got[0].Message.ID != s.msg("a", "k", 3).ID {
		t.Errorf("the group got message %s, which is older than it", got[0].Message.ID)
	}
	s.receive(t, s.stream(t, s.Broker, other, 10), 3) // the other group has them all
}

func refusesAfterClose(t *testing.T, s *subject) {
	g := s.group("g", "a")
	stream := s.stream(t, s.Broker, g, 10)
	s.mustPublish(t, s.msg("a", "k", 1))
	held := s.receive(t, stream, 1)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	for name, call := range map[string]func() error{
		"Publish":  func() error { return s.Publish(s.ctx, s.msg("a", "k", 2)) },
		"Declare":  func() error { return s.Declare(s.ctx, g) },
		"Describe": func() error { _, err := s.Describe(s.ctx); return err },
		"Consume":  func() error { _, err := s.Backend().Consume(s.ctx, g, 1); return err },
		"Receive":  func() error { _, err := stream.Receive(s.ctx, 1); return err },
		"Ack":      func() error { return stream.Ack(s.ctx, held) },
		"Release":  func() error { return stream.Release(s.ctx, held, 0) },
	} {
		if err := call(); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("%s after Close: got %v, want ErrClosed", name, err)
		}
	}
	if err := stream.Close(); err != nil {
		t.Errorf("close a stream after the broker: %v", err)
	}
}

func closesWhileBusy(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	b := s.another(t)
	var got seen
	m := s.join(t, b, g, got.handle, broker.ConsumerOptions{})
	var publishers sync.WaitGroup
	for p := range 4 {
		publishers.Go(func() {
			for n := 0; ; n++ {
				if err := b.Publish(s.ctx, s.msg("a", string(rune('a'+p)), n)); err != nil {
					if !errors.Is(err, broker.ErrClosed) {
						t.Errorf("publisher %d: got %v, want ErrClosed", p, err)
					}
					return
				}
			}
		})
	}
	got.waitFor(t, 100)
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	publishers.Wait()
	within(t, "the end of the consumer", m.done)
	if !errors.Is(m.err, broker.ErrClosed) {
		t.Errorf("the consumer gave %v, want ErrClosed", m.err)
	}
}

func refusesEndedContexts(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.Publish(ctx, s.msg("a", "k", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish: got %v, want context.Canceled", err)
	}
	if err := s.Declare(ctx, g); !errors.Is(err, context.Canceled) {
		t.Errorf("Declare: got %v, want context.Canceled", err)
	}
	late, stop := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
	defer stop()
	stream := s.stream(t, s.Broker, g, 10)
	if got, err := stream.Receive(late, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive: got %d messages and %v, want context.DeadlineExceeded", len(got), err)
	}
	s.silence(t, stream)
}

func endsWaits(t *testing.T, s *subject) {
	stream := s.stream(t, s.Broker, s.group("g", "a"), 10)
	ctx, cancel := context.WithCancel(s.ctx)
	var (
		err  error
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		_, err = stream.Receive(ctx, 1)
	}()
	cancel()
	within(t, "the end of Receive", done)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func outlivesPublisher(t *testing.T, s *subject) {
	publisher := s.another(t)
	if publisher.Backend() == s.Backend() {
		t.Skip("left out: the broker has one handle only")
	}
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	if err := errors.Join(publisher.Publish(s.ctx, s.msgs("a", "k", 10)...), publisher.Close()); err != nil {
		t.Fatal(err)
	}
	s.receive(t, s.stream(t, s.Broker, g, 10), 10)
}
