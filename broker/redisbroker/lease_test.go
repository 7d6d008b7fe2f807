package redisbroker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/redisbroker"
	"lexigram.dev/events/internal/testserver"
)

func TestAMemberWhoseLeaseIsLostIsToldAndOthersGoOn(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := redisbroker.Options{Prefix: newPrefix(t, url), Lease: 300 * time.Millisecond}
	var p proxies
	g := orders("g")
	b := broker.New(open(t, url, o), broker.Options{})
	must(t, b.Declare(t.Context(), g))
	must(t, b.Publish(t.Context(), batch("k", 0, 5)...))
	victim := p.through(t, url, o)
	s := consume(t, victim, g, 10)
	held, err := s.Receive(t.Context(), 5)
	must(t, err)
	if !held[0].Owned(held[0].Token) {
		t.Fatal("it holds the message, and is told that it does not")
	}
	proxy := p.of(victim)
	proxy.Refuse(true) // the network is away, and comes back when the lease is over
	proxy.Cut()
	other := consume(t, open(t, url, o), g, 10)
	got, err := other.Receive(t.Context(), 5)
	must(t, err)
	for i, r := range got {
		if r.Message.ID != held[i].Message.ID || r.Deliveries != 2 {
			t.Errorf("message %s, delivery %d; want %s, the second", r.Message.ID, r.Deliveries, held[i].Message.ID)
		}
	}
	if held[0].Owned(held[0].Token) {
		t.Error("another member holds the message, and the first is told that it does")
	}
	proxy.Refuse(false)
	if err := s.Ack(t.Context(), held); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a late answer: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Receive(t.Context(), 1); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("receive: got %v, want ErrUnavailable", err)
	}
	must(t, other.Ack(t.Context(), got))
}

// A member that could not say goodbye, since the server was away, is replaced by the next of its program at once.
func TestANewMemberReplacesTheLostOnesOfItsProgram(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := redisbroker.Options{Prefix: newPrefix(t, url), Lease: time.Hour}
	var p proxies
	g := orders("g")
	b := p.through(t, url, o)
	s := consume(t, b, g, 10)
	must(t, errors.Join(b.Publish(t.Context(), batch("k", 0, 3))...))
	_, err := s.Receive(t.Context(), 3)
	must(t, err)
	proxy := p.of(b)
	proxy.Refuse(true)
	proxy.Cut()
	if err := s.Close(); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	proxy.Refuse(false)
	if got := take(t, consume(t, b, g, 10), 3); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("got %v", got)
	}
}

func TestPartitionsAreSharedOutAgainWhenMembersComeAndGo(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, url)
	b := open(t, url, redisbroker.Options{Prefix: prefix, Partitions: 7})
	c := client(t, url)
	shares := func() (n []int) {
		count := map[string]int{}
		for _, member := range c.HGetAll(t.Context(), "{"+prefix+":orders}:o:g").Val() {
			count[member]++
		}
		for _, share := range count {
			n = append(n, share)
		}
		slices.Sort(n)
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waiting sync.WaitGroup
	member := func() broker.Stream {
		s := consume(t, b, orders("g"), 10)
		waiting.Go(func() { _, _ = s.Receive(ctx, 1) })
		return s
	}
	first := member()
	eventually(t, "all for one", func() bool { return slices.Equal(shares(), []int{7}) })
	member()
	eventually(t, "half for each", func() bool { return slices.Equal(shares(), []int{3, 4}) })
	member()
	eventually(t, "a third for each", func() bool { return slices.Equal(shares(), []int{2, 2, 3}) })
	must(t, first.Close())
	eventually(t, "half for each again", func() bool { return slices.Equal(shares(), []int{3, 4}) })
	cancel()
	waiting.Wait()
}

func TestNothingIsLeftRunningAfterClose(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, url)
	use := func() {
		b, err := redisbroker.Open(t.Context(), url, redisbroker.Options{Prefix: prefix, OnWarning: quiet})
		must(t, err)
		var streams []broker.Stream
		for i := range 5 {
			s, err := b.Consume(t.Context(), broker.Group{Name: fmt.Sprintf("g%d", i), Topics: []string{"a", "b"}}, 10)
			must(t, err)
			streams = append(streams, s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		for _, s := range streams {
			if _, err := s.Receive(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want the end of the context", err)
			}
		}
		must(t, streams[0].Close())
		must(t, b.Close())
	}
	use()
	before := runtime.NumGoroutine()
	for range 5 {
		use()
	}
	eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
	c := client(t, url)
	if left := c.ZCard(t.Context(), "{"+prefix+":a}:m:g1").Val(); left != 0 {
		t.Errorf("%d members are left", left)
	}
}

// A wait holds one connection of its own, and none after it.
func TestAWaitTakesNoConnectionFromOthers(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, url)
	b := broker.New(open(t, url+"?pool_size=1", redisbroker.Options{Prefix: prefix}), broker.Options{})
	g := orders("g")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waiting sync.WaitGroup
	for range 4 {
		s := consume(t, b.Backend().(*redisbroker.Backend), g, 10)
		waiting.Go(func() {
			for {
				got, err := s.Receive(ctx, 10)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got %v", err)
					}
					return
				}
				if err := s.Ack(t.Context(), got); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 200 {
		must(t, b.Publish(t.Context(), batch(fmt.Sprint(i), i, 1)...))
	}
	eventually(t, "the handling of all", func() bool {
		left, err := b.Backlog(t.Context(), g)
		return err == nil && left.Messages == 0
	})
	begun := time.Now()
	cancel()
	waiting.Wait()
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("the waits ended %v after their context", took)
	}
}
