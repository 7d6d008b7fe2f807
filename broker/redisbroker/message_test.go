package redisbroker_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/redisbroker"
	"lexigram.dev/events/internal/testserver"
)

func TestHeadersAreFieldsByTheirNames(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, url)
	b := open(t, url, redisbroker.Options{Prefix: prefix, Partitions: 1})
	at := time.UnixMilli(1_700_000_000_123).UTC()
	if errs := b.Publish(t.Context(), []broker.Message{{
		ID: "7", Topic: "orders", Key: "k", Time: at, Body: []byte("{}"), Headers: map[string]string{"ce-type": "order.placed", "ce-id": "7"},
	}}); errs != nil {
		t.Fatal(errs)
	}
	entries := client(t, url).XRange(t.Context(), "{"+prefix+":orders}:p:0", "-", "+").Val()
	want := map[string]any{":id": "7", ":time": "1700000000123", ":key": "k", "ce-type": "order.placed", "ce-id": "7", ":body": "{}"}
	if len(entries) != 1 || len(entries[0].Values) != len(want) {
		t.Fatalf("the server has %v", entries)
	}
	for name, value := range want {
		if entries[0].Values[name] != value {
			t.Errorf("field %s is %q, want %q", name, entries[0].Values[name], value)
		}
	}
}

func TestEntriesOfOthersAreRead(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, url)
	b := open(t, url, redisbroker.Options{Prefix: prefix})
	s := consume(t, b, orders("g"), 10)
	c := client(t, url)
	for _, one := range []struct {
		fields  []string
		id      string // "": that of the entry
		body    string
		headers map[string]string
	}{
		{fields: []string{"ce-id", "42", "ce-type", "x", "data", "{}"}, id: "42", body: "{}", headers: map[string]string{"ce-id": "42", "ce-type": "x"}},
		{fields: []string{"name", "Käthe", "Age", "7"}, body: `{"Age":"7","name":"Käthe"}`, headers: map[string]string{"name": "Käthe"}},
		{fields: []string{"payload", "\x00\xff", "bad", "a\nb"}, body: "\x00\xff", headers: map[string]string{}},
	} {
		entry, err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "{" + prefix + ":orders}:free", Values: one.fields}).Result()
		must(t, err)
		got, err := s.Receive(t.Context(), 1)
		must(t, err)
		if one.id == "" {
			one.id = entry
		}
		m := got[0].Message
		if m.ID != one.id || string(m.Body) != one.body || len(m.Headers) != len(one.headers) || m.Key != "" || time.Since(m.Time) > time.Hour {
			t.Errorf("%q was read as %+v", one.fields, m)
		}
		for name, value := range one.headers {
			if m.Headers[name] != value {
				t.Errorf("%q: header %s is %q", one.fields, name, m.Headers[name])
			}
		}
		must(t, s.Ack(t.Context(), got))
	}
}
