package redisbroker_test

import (
	"fmt"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/redisbroker"
	"lexigram.dev/events/internal/testserver"
)

func orders(group string) broker.Group {
	return broker.Group{Name: group, Topics: []string{"orders"}}
}

// batch makes messages n to n+count-1 of one key.
func batch(key string, n, count int) []broker.Message {
	all := make([]broker.Message, count)
	for i := range all {
		all[i] = broker.Message{ID: fmt.Sprint(n + i), Topic: "orders", Key: key, Body: []byte("body")}
	}
	return all
}

// take receives and acknowledges messages until it has so many.
func take(t *testing.T, s broker.Stream, count int) (ids []string) {
	t.Helper()
	for len(ids) < count {
		got, err := s.Receive(t.Context(), count-len(ids))
		must(t, err)
		for _, r := range got {
			ids = append(ids, r.Message.ID)
		}
		must(t, s.Ack(t.Context(), got))
	}
	return ids
}

func consume(t *testing.T, b *redisbroker.Backend, g broker.Group, prefetch int) broker.Stream {
	t.Helper()
	s, err := b.Consume(t.Context(), g, prefetch)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTrimmingNeverRemovesWhatAGroupHasNotReadAndAcknowledged(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, url)
	b := broker.New(open(t, url, redisbroker.Options{Prefix: prefix, Partitions: 1, Retain: 50}), broker.Options{})
	c := client(t, url)
	driver := b.Backend().(*redisbroker.Backend)
	key := "{" + prefix + ":orders}:p:0"
	must(t, b.Declare(t.Context(), orders("quick")))
	must(t, b.Declare(t.Context(), orders("slow")))

	const each, rounds = 1000, 5
	quick, slow := consume(t, driver, orders("quick"), each), consume(t, driver, orders("slow"), 10)
	held, err := func() ([]broker.Received, error) {
		must(t, b.Publish(t.Context(), batch("k", 0, each)...))
		return slow.Receive(t.Context(), 1) // and does not answer
	}()
	must(t, err)
	take(t, quick, each)
	for round := 1; round < rounds; round++ {
		must(t, b.Publish(t.Context(), batch("k", round*each, each)...))
		take(t, quick, each)
	}
	if n := c.XLen(t.Context(), key).Val(); n != each*rounds {
		t.Fatalf("the stream has %d entries, and %d are needed", n, each*rounds)
	}
	// What slow has acknowledged goes, but for whole nodes of the server's and what is retained.
	must(t, slow.Ack(t.Context(), held))
	for i, id := range take(t, slow, each*2-1) {
		if want := fmt.Sprint(i + 1); id != want {
			t.Fatalf("message %s came in place of %s", id, want)
		}
	}
	eventually(t, "trimming up to what slow has read", func() bool {
		n := c.XLen(t.Context(), key).Val()
		return n >= each*(rounds-2) && n < each*(rounds-2)+200
	})
	for i, id := range take(t, slow, each*(rounds-2)) {
		if want := fmt.Sprint(2*each + i); id != want {
			t.Fatalf("message %s came in place of %s", id, want)
		}
	}
	eventually(t, "trimming up to what is retained", func() bool {
		n := c.XLen(t.Context(), key).Val()
		return n >= 50 && n < 250
	})
}

func TestAGroupThatIsRemovedNoLongerKeepsMessages(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, url)
	driver := open(t, url, redisbroker.Options{Prefix: prefix, Partitions: 1, Retain: -1})
	b := broker.New(driver, broker.Options{})
	must(t, b.Declare(t.Context(), orders("abandoned")))
	must(t, b.Publish(t.Context(), batch("k", 0, 1500)...))
	must(t, driver.RemoveGroup(t.Context(), orders("abandoned")))
	must(t, driver.RemoveGroup(t.Context(), orders("abandoned")))
	must(t, b.Publish(t.Context(), batch("k", 1500, 1000)...))
	c := client(t, url)
	if n := c.XLen(t.Context(), "{"+prefix+":orders}:p:0").Val(); n > 1000 {
		t.Errorf("%d entries are left, that nobody needs", n)
	}
	if left, err := b.Backlog(t.Context(), orders("abandoned")); err != nil || left.Messages != 0 {
		t.Errorf("a group that is not there has a backlog: %+v, %v", left, err)
	}
}

func TestUnreadMessagesAreRemovedWhenThatIsAskedFor(t *testing.T) {
	for name, o := range map[string]redisbroker.Options{
		"length": {MaxLen: 100},
		"age":    {MaxAge: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			url := testserver.URL(t, defaultServer)
			o.Prefix, o.Partitions = newPrefix(t, url), 1
			b := broker.New(open(t, url, o), broker.Options{})
			g := orders("slow")
			must(t, b.Declare(t.Context(), g))
			s := consume(t, b.Backend().(*redisbroker.Backend), g, 10)
			must(t, b.Publish(t.Context(), batch("k", 0, 200)...))
			held, err := s.Receive(t.Context(), 5)
			must(t, err)
			must(t, b.Publish(t.Context(), batch("k", 200, 1800)...))
			if left := client(t, url).XLen(t.Context(), "{"+o.Prefix+":orders}:p:0").Val(); left > 1200 {
				t.Errorf("%d entries are left", left)
			}
			// What was held when it was trimmed is given up by its member, and is not there for the next.
			must(t, s.Release(t.Context(), held, 0))
			must(t, b.Publish(t.Context(), broker.Message{ID: "last", Topic: "orders", Key: "k"}))
			again := consume(t, b.Backend().(*redisbroker.Backend), g, 5000)
			must(t, s.Close())
			for last := ""; last != "last"; {
				got, err := again.Receive(t.Context(), 5000)
				must(t, err)
				for _, r := range got {
					if last = r.Message.ID; last == held[0].Message.ID {
						t.Errorf("message %s was trimmed, and came", last)
					}
				}
				must(t, again.Ack(t.Context(), got))
			}
			if left, err := b.Backlog(t.Context(), g); err != nil || left.Messages != 0 {
				t.Errorf("backlog %+v (%v) after all is handled", left, err)
			}
		})
	}
}
