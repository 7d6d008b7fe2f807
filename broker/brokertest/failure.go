package brokertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func failureClauses() []clause {
	return []clause{
		{rule: "tries a failed message again after growing pauses and counts the attempts", prove: triesAgain},
		{rule: "takes a panic of a handler for a failed attempt", prove: survivesPanics},
		{rule: "gives a message up after the last attempt, to the dead letters, and goes on", prove: deadLetters},
		{rule: "does not let go of a message before its dead letter is kept", prove: deadLetterMustSucceed},
		{rule: "gives a message up at once when the failure is permanent", prove: permanentFailure},
		{rule: "keeps dead letters as messages of a topic", prove: deadLetterTopic},
	}
}

var errBoom = errors.New("boom")

// dead collects dead letters.
type dead struct {
	seen
	mu     sync.Mutex
	causes []error
}

func (d *dead) keep(_ context.Context, delivery broker.Delivery, cause error) error {
	d.mu.Lock()
	d.causes = append(d.causes, cause)
	d.mu.Unlock()
	d.add(delivery)
	return nil
}

func triesAgain(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	const initial = 40 * time.Millisecond
	var (
		got   seen
		times []time.Time
	)
	s.join(t, s.Broker, g, func(_ context.Context, d broker.Delivery) error {
		times = append(times, time.Now()) // one key: one at a time
		got.add(d)
		if d.Attempt < 4 {
			return errBoom
		}
		return nil
	}, broker.ConsumerOptions{Retry: broker.Retry{Attempts: 4, Initial: initial, Max: 2 * initial}})
	s.mustPublish(t, s.msg("a", "k", 1), s.msg("a", "k", 2))
	got.waitFor(t, 8)
	for i, d := range got.all() {
		if d.Attempt != i%4+1 {
			t.Errorf("attempt %d of message %d says it is number %d", i%4+1, i/4+1, d.Attempt)
		}
	}
	for i, want := range []time.Duration{initial, 2 * initial, 2 * initial} {
		if pause := times[i+1].Sub(times[i]); pause < want*8/10 {
			t.Errorf("pause %d was %v, want about %v", i+1, pause, want)
		}
	}
}

func survivesPanics(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		got      seen
		panicked atomic.Bool
	)
	s.join(t, s.Broker, g, func(_ context.Context, d broker.Delivery) error {
		if panicked.CompareAndSwap(false, true) {
			panic("boom")
		}
		got.add(d)
		return nil
	}, broker.ConsumerOptions{OnError: func(err error) {
		var p *broker.PanicError
		if !errors.As(err, &p) || p.Value != "boom" {
			t.Errorf("got %v, want the panic", err)
		}
	}})
	s.mustPublish(t, s.msg("a", "k", 1))
	got.waitFor(t, 1)
	if d := got.all()[0]; d.Attempt != 2 {
		t.Errorf("attempt %d, want 2", d.Attempt)
	}
}

func deadLetters(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		got  seen
		lost dead
	)
	handle := func(_ context.Context, d broker.Delivery) error {
		got.add(d)
		if string(d.Body) == "1" {
			return errBoom
		}
		return nil
	}
	one := s.join(t, s.another(t), g, handle, broker.ConsumerOptions{DeadLetter: lost.keep, Retry: broker.Retry{Attempts: 3}})
	s.mustPublish(t, s.msgs("a", "k", 3)...)
	got.waitFor(t, 5) // 0, three times 1, 2
	one.stop(t)
	letters := lost.all()
	if len(letters) != 1 || letters[0].ID != s.msg("a", "k", 1).ID || letters[0].Attempt != 3 || !errors.Is(lost.causes[0], errBoom) {
		t.Errorf("dead letters: %+v, because of %v", letters, lost.causes)
	}
	var after seen
	s.join(t, s.another(t), g, after.handle, broker.ConsumerOptions{})
	s.mustPublish(t, s.msg("a", "k", 9))
	after.waitFor(t, 1)
	if d := after.all()[0]; string(d.Body) != "9" {
		t.Errorf("message %s came again after it was kept as a dead letter", d.Body)
	}
}

func deadLetterMustSucceed(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		got  seen
		lost dead
		full atomic.Int32
	)
	full.Store(2)
	s.join(t, s.Broker, g, func(_ context.Context, d broker.Delivery) error {
		got.add(d)
		if string(d.Body) == "0" {
			return errBoom
		}
		return nil
	}, broker.ConsumerOptions{Retry: broker.Retry{Attempts: 1}, DeadLetter: func(ctx context.Context, d broker.Delivery, cause error) error {
		if full.Add(-1) >= 0 {
			return errors.New("no room")
		}
		return lost.keep(ctx, d, cause)
	}})
	s.mustPublish(t, s.msgs("a", "k", 2)...)
	got.waitFor(t, 2)
	if len(lost.all()) != 1 {
		t.Errorf("the next message of the key came before the dead letter was kept")
	}
	if got := got.all(); string(got[1].Body) != "1" {
		t.Errorf("message 0 was handled again because its dead letter could not be kept")
	}
}

func permanentFailure(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var lost dead
	s.join(t, s.Broker, g, func(context.Context, broker.Delivery) error { return broker.Permanent(errBoom) },
		broker.ConsumerOptions{DeadLetter: lost.keep})
	s.mustPublish(t, s.msg("a", "k", 1))
	lost.waitFor(t, 1)
	if d := lost.all()[0]; d.Attempt != 1 {
		t.Errorf("it was tried %d times", d.Attempt)
	}
}

func deadLetterTopic(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	s.join(t, s.Broker, g, func(context.Context, broker.Delivery) error { return errors.New("bad\nnews") },
		broker.ConsumerOptions{Retry: broker.Retry{Attempts: 2}, DeadLetter: broker.DeadLetterTo(s.Broker, g.Name, s.name("dead"))})
	m := s.msg("a", "k", 1)
	s.mustPublish(t, m)
	letters := broker.Group{Name: "dead-letters", Topics: []string{s.name("dead")}}
	got := s.receive(t, s.stream(t, s.another(t), letters, 10), 1)[0].Message
	if got.ID != m.ID || string(got.Body) != "1" || got.Headers["n"] != "1" || got.Headers[broker.HeaderDeadGroup] != g.Name ||
		got.Headers[broker.HeaderDeadTopic] != m.Topic || got.Headers[broker.HeaderDeadAttempts] != "2" ||
		!strings.Contains(got.Headers[broker.HeaderDeadError], "bad news") {
		t.Errorf("got %+v", got)
	}
}
