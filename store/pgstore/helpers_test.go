package pgstore_test

import (
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func pending(n int) []event.Pending {
	events := make([]event.Pending, n)
	for i := range events {
		events[i] = event.Pending{ID: event.NewID(), Type: "thing", Data: []byte(`{"n":1}`), Tags: []event.Tag{"k:1"}}
	}
	return events
}

func mustAppend(t *testing.T, s *store.Store, stream event.StreamID, n int) store.Result {
	t.Helper()
	res, err := s.Append(t.Context(), stream, store.Any(), pending(n)...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// checkGapless proves positions 1, 2, 3… and returns how many.
func checkGapless(t *testing.T, s *store.Store) int {
	t.Helper()
	n := 0
	for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; int(e.Position) != n {
			t.Fatalf("entry %d has position %d", n, e.Position)
		}
	}
	return n
}

func eachMode(t *testing.T, run func(t *testing.T, mode pgstore.AppendMode)) {
	t.Run("copy", func(t *testing.T) { run(t, pgstore.Copy) })
	t.Run("function", func(t *testing.T) { run(t, pgstore.Function) })
}
