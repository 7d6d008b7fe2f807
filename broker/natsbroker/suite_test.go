package natsbroker_test

import (
	"testing"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/internal/testserver"
)

func TestKeepsEveryClauseOfThePort(t *testing.T) {
	for name, c := range map[string]struct {
		variable string
		set      func(o *natsbroker.Options)
	}{
		"default":  {defaultServer, func(*natsbroker.Options) {}},
		"durable":  {durableServer, func(o *natsbroker.Options) { o.SyncAlways = true }},
		"interest": {defaultServer, func(o *natsbroker.Options) { o.Retention = natsbroker.Interest }},
	} {
		t.Run(name, func(t *testing.T) {
			url := testserver.URL(t, c.variable)
			var p proxies
			h := brokertest.Harness{
				New: func(t *testing.T) func(t *testing.T) broker.Backend {
					o := with(newStream(t, url))
					c.set(&o)
					return func(t *testing.T) broker.Backend { return p.through(t, url, o) }
				},
				Kill: func(_ *testing.T, b broker.Backend) { p.kill(b) },
				Cut:  func(_ *testing.T, b broker.Backend) { p.of(b).Cut() },
			}
			if name != "default" {
				h.Messages = 20_000
			}
			brokertest.Run(t, h)
		})
	}
}

func BenchmarkSuite(b *testing.B) {
	url := testserver.URL(b, defaultServer)
	brokertest.Benchmark(b, func(b *testing.B) broker.Backend { return open(b, url, with(newStream(b, url))) })
}
