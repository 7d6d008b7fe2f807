package rabbitbroker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
)

func publishMany(t *testing.T, b *rabbitbroker.Broker, n int) {
	t.Helper()
	all := make([]broker.Message, n)
	for i := range all {
		all[i] = message(i)
	}
	if errs := b.Publish(t.Context(), all); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
}

// checkOrder proves that the messages of each key come in their order, and gives how many there are.
func checkOrder(t *testing.T, received []broker.Received, next map[string]int) {
	t.Helper()
	for _, r := range received {
		if want := fmt.Sprint(next[r.Message.Key]); string(r.Message.Body) != want {
			t.Fatalf("key %s: got message %s, want %s", r.Message.Key, r.Message.Body, want)
		}
		next[r.Message.Key]++
	}
}

// In RabbitMQ 3.10 a queue that gets more than 32 messages back by one negative acknowledgement shuffles them.
func TestManyPrefetchedMessagesGoBackInTheirOrder(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, s broker.Stream, cut func()){
		"the member stops": func(t *testing.T, s broker.Stream, _ func()) { must(t, s.Close()) },
		"the member dies":  func(_ *testing.T, _ broker.Stream, cut func()) { cut() },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVhost(t)
			b := v.open(t, rabbitbroker.Options{})
			must(t, b.Declare(t.Context(), group))
			publishMany(t, b, 1000)
			victim, proxy := v.openThroughProxy(t, rabbitbroker.Options{})
			first := consume(t, victim, group, 900)
			got := receive(t, first, 500)
			second := consume(t, b, group, 2000) // waits in line
			done := map[string]int{}
			var handled []broker.Received
			for i, r := range got { // every third of each key's first half is handled, and what is before it
				if i < 250 {
					handled = append(handled, r)
				}
			}
			checkOrder(t, handled, done)
			must(t, first.Ack(t.Context(), handled))
			if name == "the member dies" { // an acknowledgement on its way dies too
				eventually(t, "the acknowledgement", func() bool {
					backlog, err := victim.Backlog(t.Context(), group)
					must(t, err)
					return backlog.Messages <= 750
				})
			}
			rest := got[250:]
			must(t, first.Release(t.Context(), rest[:100], 0))
			leave(t, first, proxy.Close)
			again := receive(t, second, 750)
			checkOrder(t, again, done)
			for key, n := range done {
				if n != 100 {
					t.Errorf("key %s: %d messages", key, n)
				}
			}
		})
	}
}

// A server that is slow sets acknowledgements aside, and would lose them with the channel.
func TestNothingThatWasAcknowledgedComesAgainAfterAMemberHasStopped(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{Partitions: 2})
	must(t, b.Declare(t.Context(), group))
	for round := range 10 {
		all := make([]broker.Message, 300)
		for i := range all {
			all[i] = message(i)
			if i%2 == 0 {
				all[i].Key = ""
			}
		}
		if errs := b.Publish(t.Context(), all); errs != nil {
			t.Fatal(errors.Join(errs...))
		}
		stream := consume(t, b, group, 300*3)
		for _, r := range receive(t, stream, 300) { // one by one: as many acknowledgements as can be
			must(t, stream.Ack(t.Context(), []broker.Received{r}))
		}
		must(t, stream.Close())
		if backlog, err := b.Backlog(t.Context(), group); err != nil || backlog.Messages != 0 {
			t.Fatalf("round %d: %d messages came back (%v)", round, backlog.Messages, err)
		}
	}
}

func TestMembersShareThePartitions(t *testing.T) {
	v := newVhost(t)
	o := rabbitbroker.Options{Partitions: 6, Rebalance: 20 * time.Millisecond}
	publisher := v.open(t, o)
	must(t, publisher.Declare(t.Context(), group))
	var (
		mu   sync.Mutex
		next = map[string]int{}
		by   = map[int]map[string]bool{} // the keys that a member has handled of late
	)
	handler := func(member int) broker.Handler {
		return func(_ context.Context, d broker.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			var n int
			if _, err := fmt.Sscan(string(d.Body), &n); err != nil {
				return err
			}
			if n > next[d.Key] {
				t.Errorf("key %s: message %d came before %d", d.Key, n, next[d.Key])
			}
			next[d.Key] = max(next[d.Key], n+1)
			if by[member] == nil {
				by[member] = map[string]bool{}
			}
			by[member][d.Key] = true
			return nil
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var members sync.WaitGroup
	defer members.Wait()
	defer cancel()
	for i := range 3 {
		b := broker.New(v.open(t, o), broker.Options{})
		c, err := broker.NewConsumer(b, group, handler(i), broker.ConsumerOptions{
			DeadLetter: func(_ context.Context, _ broker.Delivery, cause error) error { t.Error(cause); return nil },
			OnError:    func(err error) { t.Error(err) },
		})
		must(t, err)
		members.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	n := 0
	eventually(t, "work for every member", func() bool {
		all := make([]broker.Message, 100)
		for k := range all {
			all[k] = broker.Message{ID: fmt.Sprint(n, "-", k), Topic: "orders", Key: fmt.Sprint("key", k), Body: fmt.Append(nil, n)}
		}
		if errs := publisher.Publish(t.Context(), all); errs != nil {
			t.Fatal(errors.Join(errs...))
		}
		n++
		mu.Lock()
		defer mu.Unlock()
		return len(by) == 3
	})
	eventually(t, "the handling of all messages", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for k := range 100 {
			if next[fmt.Sprint("key", k)] != n {
				return false
			}
		}
		return true
	})
}
