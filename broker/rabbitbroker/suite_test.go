package rabbitbroker_test

import (
	"fmt"
	"sync"
	"testing"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/broker/rabbitbroker"
	"lexigram.dev/events/internal/netfault"
)

func TestKeepsEveryClauseOfThePort(t *testing.T) {
	for name, partitions := range map[string]int{"one partition": 1, "four partitions": 4} {
		t.Run(name, func(t *testing.T) {
			v := newVhost(t)
			var (
				mu      sync.Mutex
				proxies = map[broker.Backend]*netfault.Proxy{}
			)
			through := func(t *testing.T, b broker.Backend) *netfault.Proxy {
				t.Helper()
				mu.Lock()
				defer mu.Unlock()
				if proxies[b] == nil {
					t.Fatal("this handle is not of this harness")
				}
				return proxies[b]
			}
			brokertest.Run(t, brokertest.Harness{
				New: func(*testing.T) func(t *testing.T) broker.Backend {
					return func(t *testing.T) broker.Backend {
						b, proxy := v.openThroughProxy(t, rabbitbroker.Options{Partitions: partitions})
						mu.Lock()
						defer mu.Unlock()
						proxies[b] = proxy
						return b
					}
				},
				Kill:     func(t *testing.T, b broker.Backend) { through(t, b).Close() },
				Cut:      func(t *testing.T, b broker.Backend) { through(t, b).Cut() },
				Messages: 20_000,
			})
		})
	}
}

func BenchmarkRabbitMQ(b *testing.B) {
	for _, partitions := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			brokertest.Benchmark(b, func(b *testing.B) broker.Backend {
				return newVhost(b).open(b, rabbitbroker.Options{Partitions: partitions})
			})
		})
	}
}
