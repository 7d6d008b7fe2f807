package remote_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/command/remote"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type place struct {
	Order string `json:"order"`
	N     int    `json:"n"`
	Once  string `json:"-"`
}

func (p place) IdempotencyKey() string { return p.Once }

type receipt struct {
	Order string `json:"order"`
	Count int64  `json:"count"`
}

var errSoldOut = errors.New("sold out")

// world is a broker, a store and a registry of commands, as a server and its clients share them.
type world struct {
	memory   *membroker.Broker
	broker   *broker.Broker
	store    *store.Store
	registry *schema.Registry
	handled  atomic.Int64
	errors   reports
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{memory: membroker.New(membroker.Options{})}
	w.broker = broker.New(w.memory, broker.Options{})
	w.store = store.New(memstore.New(memstore.Options{}), store.Options{})
	w.registry = registry(t)
	t.Cleanup(func() {
		_ = w.broker.Close()
		_ = w.store.Close()
	})
	return w
}

func registry(t *testing.T) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	must(t, schema.Register[place](r, "order.place", schema.Options{}))
	return r
}

// count is the plainest handler.
func (w *world) count(_ context.Context, c place) (receipt, error) {
	return receipt{Order: c.Order, Count: w.handled.Add(1)}, nil
}

type handler func(ctx context.Context, c place) (receipt, error)

// serve runs a server until the test ends, or stop is called.
func (w *world) serve(t *testing.T, h handler, o remote.ServerOptions) (stop func()) {
	t.Helper()
	s := w.server(t, h, o)
	must(t, s.Declare(t.Context()))
	return running(t, s.Run)
}

func (w *world) server(t *testing.T, h handler, o remote.ServerOptions) *remote.Server {
	t.Helper()
	bus := command.NewBus(command.Options{})
	must(t, command.Handle(bus, h))
	if o.OnError == nil {
		o.OnError = w.errors.add
	}
	s, err := remote.NewServer(w.broker, bus, w.registry, w.store, "orders", o)
	must(t, err)
	return s
}

// client runs a client until the test ends.
func (w *world) client(t *testing.T, name string, o remote.ClientOptions) *remote.Client {
	t.Helper()
	if o.OnError == nil {
		o.OnError = w.errors.add
	}
	c, err := remote.NewClient(w.broker, w.registry, "orders", name, o)
	must(t, err)
	running(t, c.Run)
	return c
}

// running runs something until the test ends, or stop is called.
func running(t *testing.T, run func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// bubble runs a test whose time is its own.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reports gathers errors.
type reports struct {
	mu  sync.Mutex
	all []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err)
}

func (r *reports) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return ""
	}
	return errors.Join(r.all...).Error()
}
