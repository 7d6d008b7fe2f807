package memstore_test

import (
	"testing"

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
