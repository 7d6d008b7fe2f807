package redisbroker_test

import (
	"testing"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/broker/redisbroker"
	"lexigram.dev/events/internal/testserver"
)

func TestKeepsEveryClauseOfThePort(t *testing.T) {
	for name, variable := range map[string]string{"default": defaultServer, "durable": durableServer} {
		t.Run(name, func(t *testing.T) {
			url := testserver.URL(t, variable)
			var p proxies
			brokertest.Run(t, brokertest.Harness{
				New: func(t *testing.T) func(t *testing.T) broker.Backend {
					prefix := newPrefix(t, url)
					return func(t *testing.T) broker.Backend { return p.through(t, url, redisbroker.Options{Prefix: prefix}) }
				},
				Kill: func(_ *testing.T, b broker.Backend) { p.kill(b) },
				Cut:  func(_ *testing.T, b broker.Backend) { p.of(b).Cut() },
			})
		})
	}
}

func BenchmarkSuite(b *testing.B) {
	url := testserver.URL(b, defaultServer)
	brokertest.Benchmark(b, func(b *testing.B) broker.Backend {
		return open(b, url, redisbroker.Options{Prefix: newPrefix(b, url)})
	})
}
