package querycache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/middleware/querycache"
	"lexigram.dev/events/query"
)

type open struct {
	Customer string
	Fresh    bool
}

func (o open) CacheKey() string { return o.Customer }
func (o open) SkipCache() bool  { return o.Fresh }

const name = "querycache_test.open"

// world is a query bus with a cache, whose handler counts how often it is asked.
type world struct {
	cache  *querycache.Cache
	bus    *query.Bus
	asked  int
	during func()
	fail   error
}

func newWorld(t *testing.T, o querycache.Options) *world {
	t.Helper()
	cache, err := querycache.New(o)
	w := &world{cache: cache, bus: query.NewBus(query.Options{})}
	if err == nil {
		err = errors.Join(w.bus.Use(middleware.Queries(cache.Step())), query.Handle(w.bus, func(context.Context, open) (int, error) {
			w.asked++
			if w.during != nil {
				w.during()
			}
			return w.asked, w.fail
		}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) ask(ctx context.Context, q open) int {
	n, err := query.Dispatch[int](ctx, w.bus, q)
	if err != nil {
		return -1
	}
	return n
}

func want(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: answer %d, want %d", what, got, want)
	}
}

func TestResultsAreKeptByKeyAndTenantForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, querycache.Options{TTL: time.Minute})
		want(t, "first", w.ask(t.Context(), open{Customer: "ada"}), 1)
		want(t, "again", w.ask(t.Context(), open{Customer: "ada"}), 1)
		want(t, "another key", w.ask(t.Context(), open{Customer: "bob"}), 2)
		want(t, "another tenant", w.ask(event.WithMetadata(t.Context(), event.Metadata{Tenant: "x"}), open{Customer: "ada"}), 3)
		want(t, "fresh", w.ask(t.Context(), open{Customer: "ada", Fresh: true}), 4)
		want(t, "what the fresh one got", w.ask(t.Context(), open{Customer: "ada"}), 4)
		want(t, "without a key", w.ask(t.Context(), open{}), 5)
		want(t, "without a key again", w.ask(t.Context(), open{}), 6)
		<-time.After(time.Minute + 1)
		want(t, "too old", w.ask(t.Context(), open{Customer: "ada"}), 7)
	})
}

func TestFailuresAreNotKept(t *testing.T) {
	w := newWorld(t, querycache.Options{})
	w.fail = errors.New("down")
	want(t, "failure", w.ask(t.Context(), open{Customer: "ada"}), -1)
	w.fail = nil
	want(t, "success", w.ask(t.Context(), open{Customer: "ada"}), 2)
}

func TestEventsMakeResultsVoid(t *testing.T) {
	w := newWorld(t, querycache.Options{VoidedBy: map[string][]string{name: {"order.placed"}}})
	handle := func(eventType string) {
		if err := w.cache.Handle(t.Context(), event.Recorded{Type: eventType}); err != nil {
			t.Error(err)
		}
	}
	want(t, "first", w.ask(t.Context(), open{Customer: "ada"}), 1)
	handle("order.seen")
	want(t, "after another event", w.ask(t.Context(), open{Customer: "ada"}), 1)
	handle("order.placed")
	want(t, "after the event", w.ask(t.Context(), open{Customer: "ada"}), 2)
	w.cache.Void(name)
	// The event comes while the query is being answered, perhaps from before it: the answer is given, but not kept.
	w.during = func() { handle("order.placed") }
	want(t, "meanwhile", w.ask(t.Context(), open{Customer: "ada"}), 3)
	w.during = nil
	want(t, "after that", w.ask(t.Context(), open{Customer: "ada"}), 4)
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	w := newWorld(t, querycache.Options{MaxEntries: 2})
	for i, q := range []struct {
		customer string
		answer   int
	}{{"a", 1}, {"b", 2}, {"a", 1}, {"c", 3}, {"a", 1}, {"b", 4}} {
		want(t, fmt.Sprint("question ", i), w.ask(t.Context(), open{Customer: q.customer}), q.answer)
	}
}

func TestItRefusesSettingsThatMakeNoSense(t *testing.T) {
	if _, err := querycache.New(querycache.Options{TTL: -1}); err == nil {
		t.Error("it was made")
	}
}

func Example() {
	cache, err := querycache.New(querycache.Options{})
	bus := query.NewBus(query.Options{})
	err = errors.Join(err, bus.Use(middleware.Queries(cache.Step())), query.Handle(bus, func(_ context.Context, o open) (string, error) {
		fmt.Println("asking for", o.Customer)
		return "2 orders", nil
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		fmt.Println(query.Dispatch[string](context.Background(), bus, open{Customer: "ada"}))
	}
	// Output:
	// asking for ada
	// 2 orders <nil>
	// 2 orders <nil>
}
