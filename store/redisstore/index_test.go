package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
	"lexigram.dev/events/store/storetest"
)

// commands counts what scripts and clients have done on a server.
func commands(t *testing.T, c *redis.Client) int {
	t.Helper()
	sum := 0
	for _, m := range regexp.MustCompile(`:calls=(\d+)`).FindAllStringSubmatch(c.Info(t.Context(), "commandstats").Val(), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func TestConditionsAndFilteredReadsDoNotScanTheLog(t *testing.T) {
	own := testserver.StartRedis(t)
	s := store.New(open(t, own.URL, redisstore.Options{}), store.Options{})
	ctx := t.Context()
	for i := range 20 {
		events := pending(1000)
		for j := range events {
			events[j].Tags = []event.Tag{"common:1", event.Tag(fmt.Sprintf("n:%d", i*1000+j))}
		}
		if _, err := s.Append(ctx, event.StreamID(fmt.Sprintf("a-%d", i)), store.NoStream(), events...); err != nil {
			t.Fatal(err)
		}
	}
	tags := func(tags ...event.Tag) store.Query { return store.Query{{Tags: tags}} }
	for what, c := range map[string]struct {
		condition store.Condition
		conflict  bool
	}{
		"a rare tag":                 {store.Condition{Query: tags("n:7")}, true},
		"a rare tag, seen":           {store.Condition{Query: tags("n:7"), After: 8}, false},
		"a common tag, seen":         {store.Condition{Query: tags("common:1"), After: 1 << 40}, false},
		"a common type":              {store.Condition{Query: store.Query{{Types: []string{"thing"}}}}, true},
		"a common type and no event": {store.Condition{Query: store.Query{{Types: []string{"none"}}}}, false},
		"a common and a rare tag":    {store.Condition{Query: tags("common:1", "n:7")}, true},
		"a rare tag, another type":   {store.Condition{Query: store.Query{{Types: []string{"none"}, Tags: []event.Tag{"n:7"}}}}, false},
	} {
		before := commands(t, own.Client)
		_, err := s.AppendIf(ctx, "b-1", c.condition, event.Pending{Type: "other", Data: []byte("{}")})
		if errors.Is(err, store.ErrConflict) != c.conflict || err != nil && !c.conflict {
			t.Errorf("%s: got %v", what, err)
		}
		if n := commands(t, own.Client) - before; n > 40 {
			t.Errorf("%s took %d commands on a log of 20,000 events", what, n)
		}
	}
	before := commands(t, own.Client)
	found := 0
	for _, err := range s.ReadLog(ctx, store.LogRead{Filter: store.Filter{Query: tags("common:1", "n:7777")}}) {
		if err != nil {
			t.Fatal(err)
		}
		found++
	}
	if n := commands(t, own.Client) - before; n > 40 || found != 1 {
		t.Errorf("a read of a rare tag took %d commands and found %d events", n, found)
	}
}

// Events that were removed stay listed in the middle of an index. Nobody sees them, and conditions do not count them.
func TestRemovedEventsMatchNothing(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	name := newName(t, url)
	s := store.New(open(t, url, redisstore.Options{Name: name}), store.Options{})
	ctx := t.Context()
	tagged := func(n int, tag event.Tag) []event.Pending {
		events := pending(n)
		for i := range events {
			events[i].Tags = []event.Tag{tag}
		}
		return events
	}
	for i, stream := range []event.StreamID{"keep-1", "gone-1", "keep-2", "gone-2"} {
		if _, err := s.Append(ctx, stream, store.NoStream(), tagged(700, event.Tag(fmt.Sprintf("k:%d", i%2)))...); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []event.StreamID{"gone-1", "gone-2"} {
		if _, err := s.Delete(ctx, gone, store.Any()); err != nil {
			t.Fatal(err)
		}
	}
	head, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		query store.Query
		after event.Position
		free  bool
	}{
		"a tag of removed events alone":   {store.Query{{Tags: []event.Tag{"k:1"}}}, 0, true},
		"a type, removed after that":      {store.Query{{Types: []string{"thing"}}}, 2100, true},
		"a type, of events before":        {store.Query{{Types: []string{"thing"}}}, 1400, false},
		"a type and a tag, removed after": {store.Query{{Types: []string{"thing"}, Tags: []event.Tag{"k:0"}}}, 2100, true},
	} {
		_, err := s.AppendIf(ctx, "new-1", store.Condition{Query: c.query, After: c.after}, event.Pending{Type: "new", Data: []byte("{}")})
		if c.free && err != nil || !c.free && !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for _, f := range []store.Filter{
		{Query: store.Query{{Types: []string{"thing"}}}}, {Categories: []string{"keep"}}, {Streams: []event.StreamID{"keep-1", "keep-2", "gone-1"}, Query: store.Query{{Types: []string{"thing"}}}},
	} {
		for _, backwards := range []bool{false, true} {
			n := 0
			for e, err := range s.ReadLog(ctx, store.LogRead{To: 0, Filter: f, Backwards: backwards}) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Stream.Category() != "keep" || e.Position > head {
					t.Fatalf("%+v: got an event of %s", f, e.Stream)
				}
				n++
			}
			if n != 1400 {
				t.Errorf("%+v, backwards %v: got %d events, want 1400", f, backwards, n)
			}
		}
	}
	if n := client(t, url).Exists(ctx, "{"+name+"}:g:k:1").Val(); n != 0 {
		t.Error("the index of a tag of removed events is still there")
	}
}

// A cluster refuses a command whose keys are in several slots, and a script that uses keys of another one.
func TestOneSlotOfACluster(t *testing.T) {
	own := testserver.StartRedis(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
	slots := []any{"cluster", "addslots"}
	for i := range 16384 {
		slots = append(slots, i)
	}
	own.Do(slots...)
	eventually(t, "the cluster", func() bool { return own.Client.Set(t.Context(), "probe", "1", 0).Err() == nil })
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{own.Client.Options().Addr}})
	t.Cleanup(func() { _ = cluster.Close() })
	storetest.Run(t, storetest.Harness{New: func(t *testing.T) func(t *testing.T) store.Backend {
		id := event.NewID()
		name := fmt.Sprintf("test-%x", id[:])
		return func(t *testing.T) store.Backend {
			b, err := redisstore.New(cluster, redisstore.Options{Name: name, AutoMigrate: true, OnWarning: quiet})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			return b
		}
	}})
	if b, err := redisstore.New(cluster, redisstore.Options{AutoMigrate: true, WaitReplicas: 1, WaitTimeout: 20 * 1e6, OnWarning: quiet}); err != nil {
		t.Error(err)
	} else {
		_, err := b.Head(context.Background()) // it makes the store, which no replica confirms
		var shortfall *redisstore.ReplicationError
		if !errors.As(err, &shortfall) {
			t.Errorf("waiting for a replica that is not there: got %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
