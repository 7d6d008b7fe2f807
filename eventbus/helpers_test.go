package eventbus_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type placed struct {
	Order string `json:"order"`
	N     int    `json:"n"`
}

func (p placed) EventKey() string { return p.Order }

type paid struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

func (p paid) OrderID() string { return p.Order }

// aboutOrder is an interface that paid implements, and shipped, which is registered late.
type aboutOrder interface{ OrderID() string }

type shipped struct {
	Order string `json:"order"`
}

func (s *shipped) OrderID() string { return s.Order }

// world is a broker, a store and a registry, as several buses share them.
type world struct {
	broker   *broker.Broker
	store    *store.Store
	letters  *deadletter.Letters
	registry *schema.Registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		broker:   broker.New(membroker.New(membroker.Options{}), broker.Options{}),
		store:    store.New(memstore.New(memstore.Options{}), store.Options{}),
		registry: schema.NewRegistry(),
	}
	w.letters = deadletter.New(w.store, deadletter.Options{})
	t.Cleanup(func() {
		_ = w.broker.Close()
		_ = w.store.Close()
	})
	must(t, schema.Register[placed](w.registry, "order.placed", schema.Options{}))
	must(t, schema.Register[paid](w.registry, "order.paid", schema.Options{}))
	return w
}

// bus makes a bus of the group "shop". Errors of attempts are of no interest unless the options say so.
func (w *world) bus(t *testing.T, o eventbus.Options) *eventbus.Bus {
	t.Helper()
	if o.Store == nil && !o.DropFailed {
		o.Store = w.store
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	b, err := eventbus.New(w.broker, w.registry, "shop", o)
	must(t, err)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a bus until the test ends, or until stop, which waits for it and gives what Run returned.
func run(t *testing.T, b *eventbus.Bus) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return stop
}

// box collects what handlers got.
type box[T any] struct {
	mu    sync.Mutex
	items []T
}

func (b *box[T]) add(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = append(b.items, item)
}

func (b *box[T]) all() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]T(nil), b.items...)
}

// into is a handler that collects.
func into[E any](b *box[E]) func(context.Context, E, eventbus.Message) error {
	return func(_ context.Context, e E, _ eventbus.Message) error { b.add(e); return nil }
}

// bubble runs a test with a clock of its own. What was begun in it must have ended at its end.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func (w *world) deadLetters(t *testing.T, source string) []deadletter.Letter {
	t.Helper()
	var letters []deadletter.Letter
	for letter, err := range w.letters.List(t.Context(), deadletter.Filter{Source: source}) {
		must(t, err)
		letters = append(letters, letter)
	}
	return letters
}
