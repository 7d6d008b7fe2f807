package brokertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func loadClauses() []clause {
	return []clause{
		{rule: "loses and mixes up nothing under load while members come and go", prove: bearsLoad},
	}
}

// tally counts how often each message of each key was handled.
type tally struct {
	mu      sync.Mutex
	handled map[string][]int // by key, by number
	missing int
	done    chan struct{} // closed when all were handled
}

func newTally(keys, each int) *tally {
	c := &tally{handled: map[string][]int{}, missing: keys * each, done: make(chan struct{})}
	for k := range keys {
		c.handled[fmt.Sprintf("k%d", k)] = make([]int, each)
	}
	return c
}

func (c *tally) add(key string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handled[key][n]++; c.handled[key][n] == 1 {
		if c.missing--; c.missing == 0 {
			close(c.done)
		}
	}
}

// wait waits until all were handled, for as long as some are: a slow machine loses nothing.
func (c *tally) wait(t *testing.T) {
	t.Helper()
	for before := -1; ; {
		select {
		case <-c.done:
			return
		case <-time.After(patience):
		}
		c.mu.Lock()
		missing := c.missing
		c.mu.Unlock()
		if missing == before {
			t.Fatalf("%d messages were not handled, and none of them within the last %v", missing, patience)
		}
		before = missing
	}
}

func (c *tally) doubles() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, counts := range c.handled {
		for _, count := range counts {
			n += count - 1
		}
	}
	return n
}

func bearsLoad(t *testing.T, s *subject) {
	const keys, publishers, batch = 1000, 4, 50
	messages := s.harness.Messages
	if messages == 0 {
		messages = 100_000
		if testing.Short() {
			messages = 5_000
		}
	}
	each := messages / keys
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	var (
		order = newOrderCheck()
		count = newTally(keys, each)
		o     = broker.ConsumerOptions{Concurrency: 16, Prefetch: 200}
	)
	handle := func(_ context.Context, d broker.Delivery) error {
		order.begin(d)
		defer order.end(d)
		var n int
		if _, err := fmt.Sscan(string(d.Body), &n); err != nil {
			return err
		}
		count.add(d.Key, n)
		return nil
	}
	for range 2 {
		s.join(t, s.another(t), g, handle, o)
	}
	published := make(chan struct{})
	var senders sync.WaitGroup
	for p := range publishers {
		b := s.another(t)
		senders.Go(func() {
			var pending []broker.Message
			for n := range each {
				for k := p; k < keys; k += publishers {
					pending = append(pending, s.msg("a", fmt.Sprintf("k%d", k), n))
					if len(pending) == batch {
						if err := b.Publish(s.ctx, pending...); err != nil {
							t.Errorf("publisher %d: %v", p, err)
							return
						}
						pending = pending[:0]
					}
				}
			}
			if err := b.Publish(s.ctx, pending...); err != nil {
				t.Errorf("publisher %d: %v", p, err)
			}
		})
	}
	go func() {
		senders.Wait()
		close(published)
	}()
	for passing := true; passing; { // a third member comes and goes
		var got seen
		m := s.join(t, s.another(t), g, func(ctx context.Context, d broker.Delivery) error {
			got.add(d)
			return handle(ctx, d)
		}, o)
		go func() { // it need not get anything: another member may be the one that all keys belong to
			<-published
			got.poke()
		}()
		got.wait(t, "a share of the third member", func() bool {
			select {
			case <-published:
				passing = false
				return true
			default:
				return len(got.all()) > messages/20
			}
		})
		m.stop(t)
	}
	count.wait(t)
	order.report(t)
	t.Logf("%d messages, %d of them handled again", messages, count.doubles())
}
