package brokertest

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func flowClauses() []clause {
	return []clause{
		{rule: "gives a member no more than its prefetch before it acknowledges", prove: boundsPrefetch},
		{rule: "lets a handler publish, also to the topic it handles", prove: publishesInHandlers},
		{rule: "finishes what is being handled when a member stops, and leaves the rest to others", prove: drains},
		{rule: "takes the end of the grace for no failure", prove: graceIsNoFailure},
		{rule: "ends a handler's context with the timeout", prove: timesOut},
	}
}

func boundsPrefetch(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	s.mustPublish(t, s.msgs("a", "", 20)...)
	stream := s.stream(t, s.Broker, g, 5)
	held := s.receive(t, stream, 5)
	s.silence(t, stream)
	if err := stream.Ack(s.ctx, held[:2]); err != nil {
		t.Fatal(err)
	}
	s.receive(t, stream, 2)
	s.silence(t, stream)
	s.receive(t, s.stream(t, s.another(t), g, 13), 13) // the rest is free for others
}

func publishesInHandlers(t *testing.T, s *subject) {
	const chain = 50
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var got seen
	s.join(t, s.Broker, g, func(ctx context.Context, d broker.Delivery) error {
		n, err := strconv.Atoi(string(d.Body))
		if err == nil && n+1 < chain {
			err = s.Publish(ctx, s.msg("a", "k", n+1))
		}
		got.add(d)
		return err
	}, broker.ConsumerOptions{Concurrency: 1, Prefetch: 1})
	s.mustPublish(t, s.msg("a", "k", 0))
	got.waitFor(t, chain)
}

func drains(t *testing.T, s *subject) {
	const running, all = 3, 20
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		first, second seen
		begun         = make(chan struct{}, all)
		proceed       = make(chan struct{})
	)
	one := s.join(t, s.another(t), g, func(ctx context.Context, d broker.Delivery) error {
		begun <- struct{}{}
		<-proceed
		first.add(d)
		return ctx.Err()
	}, broker.ConsumerOptions{Concurrency: running, Prefetch: 10, Grace: patience})
	s.mustPublish(t, s.msgs("a", "", all)...)
	for range running {
		<-begun
	}
	one.cancel()
	s.join(t, s.another(t), g, second.handle, broker.ConsumerOptions{})
	second.waitFor(t, all-running) // while the first still works
	close(proceed)
	one.stop(t)
	if n := len(first.all()); n != running {
		t.Errorf("%d messages were begun by the member that stopped, %d of them finished", running, n)
	}
	marker := s.msg("a", "", 1000)
	s.mustPublish(t, marker)
	second.waitFor(t, all-running+1)
	if ids := second.ids(); len(ids) != all-running+1 || ids[len(ids)-1] != marker.ID {
		t.Errorf("what the stopping member had finished came again: %d messages", len(ids))
	}
}

func graceIsNoFailure(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	begun := make(chan struct{})
	one := s.join(t, s.another(t), g, func(ctx context.Context, _ broker.Delivery) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}, broker.ConsumerOptions{Grace: time.Millisecond, Retry: broker.Retry{Attempts: 1}})
	s.mustPublish(t, s.msg("a", "k", 1))
	within(t, "the first attempt", begun)
	one.stop(t)
	var got seen
	s.join(t, s.another(t), g, got.handle, broker.ConsumerOptions{})
	got.waitFor(t, 1)
}

func timesOut(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		got   seen
		tried atomic.Bool
	)
	s.join(t, s.Broker, g, func(ctx context.Context, d broker.Delivery) error {
		if tried.CompareAndSwap(false, true) {
			<-ctx.Done()
			return ctx.Err()
		}
		got.add(d)
		return nil
	}, broker.ConsumerOptions{Timeout: 20 * time.Millisecond, OnError: func(err error) {
		if !errors.Is(err, broker.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
	}})
	s.mustPublish(t, s.msg("a", "k", 1))
	got.waitFor(t, 1)
}
