package membroker_test

import (
	"testing"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/broker/membroker"
)

func TestKeepsEveryClauseOfThePort(t *testing.T) {
	brokertest.Run(t, brokertest.Harness{
		New: func(t *testing.T) func(t *testing.T) broker.Backend {
			b := membroker.New(membroker.Options{Retain: 100})
			t.Cleanup(func() { _ = b.Close() })
			return func(*testing.T) broker.Backend { return b }
		},
		Cut: func(_ *testing.T, b broker.Backend) { b.(*membroker.Broker).Disconnect() },
	})
}

func BenchmarkMemory(b *testing.B) {
	brokertest.Benchmark(b, func(b *testing.B) broker.Backend {
		backend := membroker.New(membroker.Options{})
		b.Cleanup(func() { _ = backend.Close() })
		return backend
	})
}
