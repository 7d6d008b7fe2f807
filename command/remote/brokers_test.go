package remote_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/command/remote"
	"lexigram.dev/events/internal/everybroker"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// Two servers and two clients, each with a connection of its own, on each broker.
func TestEveryBrokerCarriesCommandsAndReplies(t *testing.T) {
	everybroker.Each(t, func(t *testing.T, open everybroker.Opener, name func(string) string) {
		const commands = 200
		var (
			registry = registry(t)
			shared   = store.New(memstore.New(memstore.Options{}), store.Options{})
			topic    = name("orders")
			handled  sync.Map // number of handlings by order
			codes    = remote.Codes{"sold_out": errSoldOut}
		)
		defer func() { must(t, shared.Close()) }()
		bus := command.NewBus(command.Options{})
		must(t, command.Handle(bus, func(_ context.Context, c place) (receipt, error) {
			count, _ := handled.LoadOrStore(c.Order, &atomic.Int64{})
			n := count.(*atomic.Int64).Add(1)
			if c.N%10 == 9 {
				return receipt{}, fmt.Errorf("order %s: %w", c.Order, errSoldOut)
			}
			return receipt{Order: c.Order, Count: n}, nil
		}))
		serve := func(b *broker.Broker) {
			s, err := remote.NewServer(b, bus, registry, shared, topic, remote.ServerOptions{Codes: codes})
			must(t, err)
			must(t, s.Declare(t.Context()))
			running(t, s.Run)
		}
		serve(open())
		serve(open())
		var clients [2]*remote.Client
		for i := range clients {
			var err error
			clients[i], err = remote.NewClient(open(), registry, topic, fmt.Sprintf("client-%d", i), remote.ClientOptions{Codes: codes})
			must(t, err)
			running(t, clients[i].Run)
		}
		var all sync.WaitGroup
		for i := range commands {
			all.Go(func() {
				c := place{Order: fmt.Sprint("plain-", i), N: i}
				got, err := remote.Dispatch[receipt](t.Context(), clients[i%2], c)
				switch {
				case i%10 == 9 && !errors.Is(err, errSoldOut):
					t.Errorf("order %s: got %v, want that it is sold out", c.Order, err)
				case i%10 != 9 && (err != nil || got != receipt{Order: c.Order, Count: 1}):
					t.Errorf("order %s: got %+v, %v", c.Order, got, err)
				}
			})
			all.Go(func() {
				c := place{Order: fmt.Sprint("once-", i/4), Once: fmt.Sprint("key-", i/4)}
				if got, err := remote.Dispatch[receipt](t.Context(), clients[i%2], c); err != nil || got.Count != 1 {
					t.Errorf("order %s: got %+v, %v", c.Order, got, err)
				}
			})
		}
		all.Wait()
		handled.Range(func(order, count any) bool {
			if n := count.(*atomic.Int64).Load(); n != 1 {
				t.Errorf("order %s was handled %d times", order, n)
			}
			return true
		})
	})
}
