package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/subscription"
)

// shop is a store with the event types of the tests.
type shop struct {
	*store.Store
	registry *schema.Registry
	control  *projection.Control
}

// Added is something put into an order.
type Added struct{ Cents int }

// Poison is an event that handlers fail at.
type Poison struct{ Cents int }

func newShop(tb testing.TB, b store.Backend) *shop {
	tb.Helper()
	return shopWith(tb, b, store.Options{})
}

func shopWith(tb testing.TB, b store.Backend, o store.Options) *shop {
	tb.Helper()
	s := &shop{Store: store.New(b, o), registry: schema.NewRegistry()}
	s.control = projection.NewControl(s.Store)
	must(tb, errors.Join(
		schema.Register[Placed](s.registry, "order.placed", schema.Options{}),
		schema.Register[Shipped](s.registry, "order.shipped", schema.Options{}),
		schema.Register[Added](s.registry, "order.added", schema.Options{}),
		schema.Register[Poison](s.registry, "order.poison", schema.Options{}),
	))
	return s
}

func memoryShop(tb testing.TB) *shop { return newShop(tb, memstore.New(memstore.Options{})) }

func (s *shop) add(tb testing.TB, stream event.StreamID, events ...any) event.Position {
	tb.Helper()
	position, err := s.tryAdd(tb.Context(), stream, events...)
	must(tb, err)
	return position
}

func (s *shop) tryAdd(ctx context.Context, stream event.StreamID, events ...any) (event.Position, error) {
	var pending []event.Pending
	for _, e := range events {
		p, err := s.registry.Encode(e)
		if err != nil {
			return 0, err
		}
		pending = append(pending, p)
	}
	res, err := s.Append(ctx, stream, store.Any(), pending...)
	return res.Last, err
}

// fill adds n events over so many orders.
func (s *shop) fill(tb testing.TB, n, orders int) event.Position {
	tb.Helper()
	var last event.Position
	for i := range n {
		last = s.add(tb, order(i%orders), Added{1})
	}
	return last
}

func order(i int) event.StreamID { return event.StreamID(fmt.Sprintf("order-%d", i)) }

// total is the document of the tests: it counts, so that what counts twice, or not at all, shows.
type total struct {
	Events int
	Cents  int
	Last   event.Position
	Seen   string `json:",omitempty"` // of whatever the test wants
}

func (d *total) add(cents int, r event.Recorded) error {
	if r.Position <= d.Last {
		return fmt.Errorf("position %d comes after %d", r.Position, d.Last)
	}
	d.Events, d.Cents, d.Last = d.Events+1, d.Cents+cents, r.Position
	return nil
}

// totals makes a projection that counts the events of each order.
func (s *shop) totals(name string, o projection.Options) (*projection.Projection, *projection.Documents[total]) {
	p := projection.New(s.Store, s.registry, name, o)
	docs := projection.NewDocuments(p, "totals", projection.DocumentOptions[total]{
		Indexes: map[string]func(total) []string{"cents": func(d total) []string { return []string{fmt.Sprintf("%06d", d.Cents)} }},
	})
	projection.PerEntity(docs, func(d *total, e Added, r event.Recorded) error { return d.add(e.Cents, r) })
	return p, docs
}

// quick are options under which tests do not wait long where time is real.
func quick(tb testing.TB) projection.Options {
	var mu sync.Mutex
	ended := false
	tb.Cleanup(func() { mu.Lock(); defer mu.Unlock(); ended = true })
	return projection.Options{
		PollInterval: 10 * time.Millisecond, CheckpointInterval: 10 * time.Millisecond, Lease: 500 * time.Millisecond,
		Retry: subscription.Retry{Attempts: 2, Initial: time.Millisecond, Max: time.Millisecond},
		OnError: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if !ended {
				tb.Log(err)
			}
		},
	}
}

// start runs projections until the test ends or stop is called.
func start(tb testing.TB, projections ...*projection.Projection) (stop func()) {
	tb.Helper()
	set, err := projection.NewSet(projections...)
	must(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- set.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// sums adds up what a list of totals holds.
func sums(tb testing.TB, docs *projection.Documents[total]) (all map[string]total, events int) {
	tb.Helper()
	all = map[string]total{}
	for d, err := range docs.List(tb.Context(), projection.Page{}) {
		must(tb, err)
		all[d.Key] = d.Value
		events += d.Value.Events
	}
	return all, events
}

// wantFold fails unless the documents equal a fold of the log.
func wantFold(tb testing.TB, docs *projection.Documents[total]) {
	tb.Helper()
	got, _ := sums(tb, docs)
	want, err := projection.Fold(tb.Context(), docs, projection.Scope{})
	must(tb, err)
	if len(got) != len(want) {
		tb.Errorf("there are %d documents, a fold gives %d", len(got), len(want))
	}
	for key, w := range want {
		if got[key] != w {
			tb.Errorf("document %s is %+v, a fold gives %+v", key, got[key], w)
		}
	}
}

// eventually waits until a condition holds.
func eventually(tb testing.TB, what string, try func() bool) {
	tb.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !try() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not happen in time", what)
		}
		<-tick.C
	}
}

func (s *shop) status(tb testing.TB, name string) projection.Status {
	tb.Helper()
	status, err := s.control.Status(tb.Context(), name)
	must(tb, err)
	return status
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wantError(tb testing.TB, err, kind error, phrases ...string) {
	tb.Helper()
	if err == nil || kind != nil && !errors.Is(err, kind) {
		tb.Fatalf("error %v is not of the kind %v", err, kind)
	}
	for _, phrase := range phrases {
		if !strings.Contains(err.Error(), phrase) {
			tb.Errorf("error %q does not say %q", err, phrase)
		}
	}
}

// spy is a backend that misbehaves on request. It has no capabilities.
type spy struct {
	store.Backend
	mu    sync.Mutex
	apply func(ctx context.Context, ops []store.Op, do func() ([]store.Revision, error)) ([]store.Revision, error)
}

func (s *spy) set(apply func(ctx context.Context, ops []store.Op, do func() ([]store.Revision, error)) ([]store.Revision, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply = apply
}

func (s *spy) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	s.mu.Lock()
	apply := s.apply
	s.mu.Unlock()
	do := func() ([]store.Revision, error) { return s.Backend.Apply(ctx, ops) }
	if apply == nil {
		return do()
	}
	return apply(ctx, ops, do)
}

// writes reports whether operations change documents.
func writes(ops []store.Op) bool {
	for _, op := range ops {
		if strings.HasPrefix(op.Bucket, "projection/") {
			return true
		}
	}
	return false
}
