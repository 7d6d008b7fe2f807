package redisstore_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
)

// The servers that the tests run on, by the variable that names their URL.
const (
	defaultServer = "TEST_REDIS_URL"
	durableServer = "TEST_REDIS_DURABLE_URL"
)

// client connects for the test's own commands.
func client(tb testing.TB, storeURL string) *redis.Client {
	tb.Helper()
	u, err := url.Parse(storeURL)
	if err != nil {
		tb.Fatal(err)
	}
	u.RawQuery = ""
	o, err := redis.ParseURL(u.String())
	if err != nil {
		tb.Fatal(err)
	}
	c := redis.NewClient(o)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// newName names a store for one test, which is removed when the test ends.
func newName(tb testing.TB, storeURL string) string {
	tb.Helper()
	id := event.NewID()
	name := fmt.Sprintf("test-%x", id[:])
	tb.Cleanup(func() { remove(tb, client(tb, storeURL), name) })
	return name
}

// remove removes all keys of a store.
func remove(tb testing.TB, c redis.UniversalClient, name string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var keys []string
	all := c.Scan(ctx, 0, "{"+name+"}:*", 5000).Iterator()
	for all.Next(ctx) {
		keys = append(keys, all.Val())
	}
	if len(keys) > 0 && all.Err() == nil {
		if err := c.Unlink(ctx, keys...).Err(); err != nil {
			tb.Error(err)
		}
	}
	if err := all.Err(); err != nil {
		tb.Error(err)
	}
}

func quiet(string) {}

// open opens a store; it is closed when the test ends.
func open(tb testing.TB, storeURL string, o redisstore.Options) *redisstore.Backend {
	tb.Helper()
	o.AutoMigrate = true
	if o.OnWarning == nil {
		o.OnWarning = quiet
	}
	b, err := redisstore.Open(tb.Context(), storeURL, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

func pending(n int) []event.Pending {
	events := make([]event.Pending, n)
	for i := range events {
		events[i] = event.Pending{ID: event.NewID(), Type: "thing", Data: []byte(`{"n":1}`), Tags: []event.Tag{"k:1"}}
	}
	return events
}

func mustAppend(tb testing.TB, s *store.Store, stream event.StreamID, n int) store.Result {
	tb.Helper()
	res, err := s.Append(tb.Context(), stream, store.Any(), pending(n)...)
	if err != nil {
		tb.Fatal(err)
	}
	return res
}

// checkLog proves positions 1, 2, 3…, versions 1, 2, 3… in each stream, and ids that are unique. It gives the versions
// of the streams and the number of events.
func checkLog(tb testing.TB, s *store.Store) (versions map[event.StreamID]event.Version, count int) {
	tb.Helper()
	versions = map[event.StreamID]event.Version{}
	ids := map[event.ID]bool{}
	for e, err := range s.ReadLog(tb.Context(), store.LogRead{}) {
		if err != nil {
			tb.Fatal(err)
		}
		if count++; int(e.Position) != count {
			tb.Fatalf("entry %d has position %d", count, e.Position)
		}
		if versions[e.Stream]++; e.Version != versions[e.Stream] {
			tb.Fatalf("position %d: stream %s has version %d after %d", e.Position, e.Stream, e.Version, versions[e.Stream]-1)
		}
		if ids[e.ID] {
			tb.Fatalf("position %d: id %s appears twice", e.Position, e.ID)
		}
		ids[e.ID] = true
	}
	return versions, count
}

func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not happen", what)
		}
	}
}
