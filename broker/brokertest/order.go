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

func orderClauses() []clause {
	return []clause{
		{rule: "keeps the order of each key over several members, one message at a time", needs: ordered, prove: keepsOrder},
		{rule: "keeps the order of each key while members come and go", needs: ordered, prove: keepsOrderInChange},
		{rule: "lets a key wait behind its failed message and other keys go on", prove: failureHoldsItsKey},
		{rule: "handles messages without a key at the same time", prove: keylessInParallel},
		{rule: "gives a key to nobody else while a member holds a message of it", needs: ordered, prove: keyHasOneHolder},
	}
}

// orderCheck notes violations of the order of keys: a message is begun for the first time only after all earlier ones of
// its key are over, and while no other of the key is being handled. The body of a message is its number within the key.
type orderCheck struct {
	overlaps   bool // a message may be handled again elsewhere while it still is here, because its stream was lost
	mu         sync.Mutex
	next       map[string]int // the number that must come for the first time next
	busy       map[string]int
	violations []string
}

func newOrderCheck() *orderCheck { return &orderCheck{next: map[string]int{}, busy: map[string]int{}} }

func (o *orderCheck) begin(d broker.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var n int
	if _, err := fmt.Sscan(string(d.Body), &n); err != nil {
		o.violations = append(o.violations, err.Error())
	}
	if n > o.next[d.Key] {
		o.violations = append(o.violations, fmt.Sprintf("key %s: message %d came before %d", d.Key, n, o.next[d.Key]))
	}
	if o.busy[d.Key]++; o.busy[d.Key] > 1 && !o.overlaps {
		o.violations = append(o.violations, fmt.Sprintf("key %s: two messages were handled at the same time", d.Key))
	}
	o.next[d.Key] = max(o.next[d.Key], n+1)
}

func (o *orderCheck) end(d broker.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy[d.Key]--
}

func (o *orderCheck) report(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, v := range o.violations {
		if i == 10 {
			t.Errorf("and %d more", len(o.violations)-i)
			break
		}
		t.Error(v)
	}
}

// handler checks the order around the recording of what was seen.
func (o *orderCheck) handler(got *seen) broker.Handler {
	return func(_ context.Context, d broker.Delivery) error {
		o.begin(d)
		defer o.end(d)
		got.add(d)
		return nil
	}
}

func keepsOrder(t *testing.T, s *subject) {
	const keys, each = 20, 50
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var got seen
	order := newOrderCheck()
	for range 3 {
		s.join(t, s.another(t), g, order.handler(&got), broker.ConsumerOptions{Prefetch: 20})
	}
	for n := range each {
		batch := make([]broker.Message, keys)
		for k := range batch {
			batch[k] = s.msg("a", fmt.Sprintf("k%d", k), n)
		}
		s.mustPublish(t, batch...)
	}
	got.wait(t, "all messages", func() bool { return len(got.ids()) == keys*each })
	order.report(t)
}

func keepsOrderInChange(t *testing.T, s *subject) {
	const keys, each = 20, 60
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var got seen
	order := newOrderCheck()
	o := broker.ConsumerOptions{Prefetch: 20}
	s.join(t, s.another(t), g, order.handler(&got), o)
	for n := range each {
		batch := make([]broker.Message, keys)
		for k := range batch {
			batch[k] = s.msg("a", fmt.Sprintf("k%d", k), n)
		}
		s.mustPublish(t, batch...)
		if n%20 == 10 {
			second := s.join(t, s.another(t), g, order.handler(&got), o)
			got.wait(t, "half of what was published", func() bool { return len(got.ids()) > n*keys/2 })
			second.stop(t)
		}
	}
	got.wait(t, "all messages", func() bool { return len(got.ids()) == keys*each })
	order.report(t)
}

func failureHoldsItsKey(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		got   seen
		other = make(chan struct{})
		once  sync.Once
	)
	s.join(t, s.Broker, g, func(_ context.Context, d broker.Delivery) error {
		if d.Key == "bad" && string(d.Body) == "0" {
			select {
			case <-other: // the other key has gone on meanwhile
			default:
				return errors.New("not yet")
			}
		}
		got.add(d)
		if d.Key == "good" {
			once.Do(func() { close(other) })
		}
		return nil
	}, broker.ConsumerOptions{Retry: broker.Retry{Attempts: 1000, Initial: 5 * time.Millisecond, Max: 5 * time.Millisecond}})
	s.mustPublish(t, s.msg("a", "bad", 0), s.msg("a", "bad", 1), s.msg("a", "good", 0))
	got.waitFor(t, 3)
	ids := got.ids()
	if want := idsOf([]broker.Message{s.msg("a", "good", 0), s.msg("a", "bad", 0), s.msg("a", "bad", 1)}); !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
}

func keylessInParallel(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		together sync.WaitGroup // ends when two handlers run at the same time
		got      seen
	)
	together.Add(2)
	s.join(t, s.Broker, g, func(_ context.Context, d broker.Delivery) error {
		together.Done()
		together.Wait()
		got.add(d)
		return nil
	}, broker.ConsumerOptions{})
	s.mustPublish(t, s.msg("a", "", 1), s.msg("a", "", 2))
	got.waitFor(t, 2)
}

func keyHasOneHolder(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	first := s.stream(t, s.another(t), g, 1)
	s.mustPublish(t, s.msgs("a", "k", 3)...)
	held := s.receive(t, first, 1)
	second := s.stream(t, s.another(t), g, 10)
	s.silence(t, second)
	if err := first.Ack(s.ctx, held); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for i, r := range s.receive(t, second, 2) {
		if string(r.Message.Body) != fmt.Sprint(i+1) {
			t.Errorf("got message %s in place %d", r.Message.Body, i+1)
		}
	}
}
