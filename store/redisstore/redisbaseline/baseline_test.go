package redisbaseline

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
)

func TestTheBaselineDoesWhatTheStoreDoes(t *testing.T) {
	url := testserver.URL(t, "TEST_REDIS_URL")
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	name := "test-baseline-" + event.NewID().String()
	url += "?name=" + name
	ctx := t.Context()
	backend, err := redisstore.Open(ctx, url, redisstore.Options{AutoMigrate: true, OnWarning: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(backend, store.Options{})
	defer s.Close()
	const stored = 2*pageSize + 5
	if _, err := s.Append(ctx, "a-1", store.Any(), pending(stored)...); err != nil {
		t.Fatal(err)
	}
	b, err := Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	var rows []event.Recorded
	for v := range 10 {
		rows = append(rows, event.Recorded{
			ID: event.NewID(), Stream: "b-1", Version: event.Version(v + 1), Position: event.Position(v + 1), Type: "x",
			SchemaVersion: 1, ContentType: event.JSON, Data: []byte("{}"), RawMetadata: []byte("{}"), Tags: []event.Tag{"k:1"}, OccurredAt: time.Now(),
		})
	}
	for what, err := range map[string]error{
		"one row": b.Insert(ctx, rows[:1]), "two pipelines": b.SetPool(ctx, 2), "some rows": b.Insert(ctx, rows[1:4]), "bulk": b.Bulk(ctx, rows[4:]),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := client.XLen(ctx, b.scratch+"one").Val() + client.XLen(ctx, b.scratch+"bulk").Val(); n != 10 {
		t.Errorf("%d entries were written, want 10", n)
	}
	if n, err := b.Read(ctx); n != stored || err != nil {
		t.Errorf("read %d events of the store, want %d, %v", n, stored, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	keys, err := client.Keys(ctx, "{"+name+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if strings.HasPrefix(key, b.scratch) {
			t.Errorf("key %s was left behind", key)
		}
	}
	if err := client.Unlink(ctx, keys...).Err(); err != nil {
		t.Error(err)
	}
}

func pending(n int) []event.Pending {
	events := make([]event.Pending, n)
	for i := range events {
		events[i] = event.Pending{Type: "x", Data: []byte("{}")}
	}
	return events
}
