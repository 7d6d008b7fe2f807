package redisstore_test

import (
	"testing"

	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
	"lexigram.dev/events/store/storetest"
)

func TestSuite(t *testing.T) {
	for name, variable := range map[string]string{"default": defaultServer, "durable": durableServer} {
		t.Run(name, func(t *testing.T) {
			url := testserver.URL(t, variable)
			storetest.Run(t, storetest.Harness{New: func(t *testing.T) func(t *testing.T) store.Backend {
				name := newName(t, url)
				return func(t *testing.T) store.Backend { return open(t, url, redisstore.Options{Name: name}) }
			}})
		})
	}
}

func BenchmarkSuite(b *testing.B) {
	url := testserver.URL(b, defaultServer)
	storetest.Benchmark(b, func(b *testing.B) store.Backend {
		return open(b, url, redisstore.Options{Name: newName(b, url)})
	})
}
