package memstore_test

import (
	"errors"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/storetest"
)

func TestKeepsEveryClauseOfThePort(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(t *testing.T) func(t *testing.T) store.Backend {
			b := memstore.New(memstore.Options{})
			t.Cleanup(func() { _ = b.Close() })
			return func(*testing.T) store.Backend { return b }
		},
	})
}

func BenchmarkMemory(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) store.Backend {
		backend := memstore.New(memstore.Options{})
		b.Cleanup(func() { _ = backend.Close() })
		return backend
	})
}

func BenchmarkScale(b *testing.B) {
	storetest.BenchmarkScale(b, func(b *testing.B) store.Backend {
		backend := memstore.New(memstore.Options{})
		b.Cleanup(func() { _ = backend.Close() })
		return backend
	})
}

func TestAStreamIsNotLongerThanItMayBe(t *testing.T) {
	backend, err := memstore.Driver().Open(t.Context(), "memory:?max_events_per_stream=2", store.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(backend, store.Options{})
	for i, want := range []error{nil, nil, store.ErrTooLarge} {
		_, err := s.Append(t.Context(), "order-1", store.Any(), event.Pending{Type: "order.placed"})
		if !errors.Is(err, want) {
			t.Errorf("append %d: got %v, want %v", i+1, err, want)
		}
	}
	for _, url := range []string{"memory:x", "memory:?max_events_per_stream=0", "memory:?max_events=1"} {
		if _, err := memstore.Driver().Open(t.Context(), url, store.OpenOptions{}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v", url, err)
		}
	}
}
