package config

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/query"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

type priceOf struct{ Item string }

func (q priceOf) CacheKey() string { return q.Item }

type priced struct{ Cents int }

func TestAnEventMakesCachedResultsVoidAlsoWhenTheReadModelComesLate(t *testing.T) {
	c := Default()
	c.QueryBus.EnableCaching = true
	c.Outbox.Enabled = false
	app, err := Open(t.Context(), c, Options{Logger: slog.New(slog.DiscardHandler), VoidedBy: map[string][]string{"config.priceOf": {"item.priced"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Close() }()
	if err := schema.Register[priced](app.Schema(), "item.priced", schema.Options{}); err != nil {
		t.Fatal(err)
	}
	p := projection.New(app.Store(), app.Schema(), "prices", app.ProjectionOptions())
	prices := projection.NewDocuments(p, "prices", projection.DocumentOptions[priced]{})
	late := make(chan struct{}) // until the stale answer is in the cache
	projection.PerEntity(prices, func(doc *priced, e priced, _ event.Recorded) error {
		<-late
		*doc = e
		return nil
	})
	var asked atomic.Int32
	if err := query.Handle(app.Queries(), func(ctx context.Context, q priceOf) (int, error) {
		asked.Add(1)
		found := 0
		for d, err := range prices.List(ctx, projection.Page{}) {
			if err != nil {
				return 0, err
			}
			found = d.Value.Cents
		}
		return found, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := app.AddProjections(p); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()

	answer := func() int {
		cents, err := query.Dispatch[int](t.Context(), app.Queries(), priceOf{"lamp"})
		if err != nil { // as long as the projection was never run
			return -1
		}
		return cents
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	until := func(what string, yes func() bool) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for !yes() {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s did not happen", what)
			}
		}
	}
	until("caching", func() bool { // at its start the log's follower makes all void once
		before := asked.Load()
		return answer() == 0 && asked.Load() == before
	})
	before := asked.Load()
	e, err := app.Schema().Encode(priced{700})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Store().Append(t.Context(), "item-lamp", store.NoStream(), e); err != nil {
		t.Fatal(err)
	}
	until("the query", func() bool { return answer() == 0 && asked.Load() > before }) // asked anew, and too early
	close(late)
	until("the new price", func() bool { return answer() == 700 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
