package stream

import (
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// A subscriber begins to follow while it still has to read what is behind the feed's tail, and its buffer overflows before
// it has done so. What it has not read must come before what is in the buffer.
func TestWhoOverflowsBeforeItHasReadUpToTheTailMissesNothing(t *testing.T) {
	log := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer func() { _ = log.Close() }()
	for range 12 {
		if _, err := log.Append(t.Context(), "order-1", store.Any(), event.Pending{Type: "order.changed", Data: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
	feed := New(log, Options{BufferSize: 3, BatchSize: 2})
	ahead, err := feed.Subscribe(t.Context(), store.Filter{}, 8)
	if err != nil {
		t.Fatal(err)
	}
	defer ahead.Close()
	ahead.follow() // the tail is at 8
	late, err := feed.Subscribe(t.Context(), store.Filter{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	late.follow() // it has to read 3 to 8 by itself
	page, err := read(t.Context(), log, store.LogRead{From: 9})
	if err != nil {
		t.Fatal(err)
	}
	feed.hand(page) // 9, 10 and 11 go into its buffer; 12 is too much
	for want := event.Position(3); want <= 12; {
		events, err := late.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Position != want {
				t.Fatalf("got position %d, want %d", e.Position, want)
			}
			want++
		}
	}
}
