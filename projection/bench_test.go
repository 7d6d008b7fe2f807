package projection_test

import (
	"fmt"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// moved is an event of about the size of a small order's.
type moved struct {
	OrderID  string `json:"order_id"`
	Customer string `json:"customer"`
	Cents    int    `json:"cents"`
	Note     string `json:"note"`
}

type balance struct {
	Customer string
	Events   int
	Cents    int
}

// BenchmarkCatchUp compares projections into documents with a plain read of the same log, in turns in one run: one document
// for each of 4,000 streams, and one in all. They decode every event.
func BenchmarkCatchUp(b *testing.B) {
	const n, streams = 1_000_000, 4000
	everystore.Main(b, func(b *testing.B, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		registry := schema.NewRegistry()
		must(b, schema.Register[moved](registry, "order.moved", schema.Options{}))
		fillStreams(b, s, registry, n, streams)
		for _, c := range []struct {
			name string
			key  func(moved, event.Recorded) string
		}{
			{"documents=4000", func(_ moved, r event.Recorded) string { return r.Stream.Key() }},
			{"documents=1", func(_ moved, r event.Recorded) string { return r.Stream.Category() }},
		} {
			b.Run(c.name, func(b *testing.B) {
				var raw, projected time.Duration
				run := 0
				for b.Loop() {
					run++
					begun := time.Now()
					count := 0
					for _, err := range s.ReadLog(b.Context(), store.LogRead{}) {
						must(b, err)
						count++
					}
					raw += time.Since(begun)
					p := projection.New(s, registry, fmt.Sprintf("%s.%d.%d", c.name, b.N, run), projection.Options{
						PollInterval: 10 * time.Millisecond, OnError: func(err error) { b.Error(err) },
					})
					docs := projection.NewDocuments(p, "balances", projection.DocumentOptions[balance]{})
					projection.Keyed(docs, c.key, func(d *balance, e moved, _ event.Recorded) error {
						d.Customer, d.Events, d.Cents = e.Customer, d.Events+1, d.Cents+e.Cents
						return nil
					})
					begun = time.Now()
					stop := start(b, p)
					must(b, p.WaitFor(b.Context(), n))
					projected += time.Since(begun)
					stop()
					total := 0
					for d, err := range docs.List(b.Context(), projection.Page{}) {
						must(b, err)
						total += d.Value.Events
					}
					if count != n || total != n {
						b.Fatalf("read %d and projected %d events of %d", count, total, n)
					}
				}
				b.ReportMetric(float64(run)*n/projected.Seconds(), "events/s")
				b.ReportMetric(float64(run)*n/raw.Seconds(), "raw-events/s")
				b.ReportMetric(raw.Seconds()/projected.Seconds(), "ratio")
			})
		}
	})
}

// fillStreams spreads n events over streams in an order that jumps about.
func fillStreams(tb testing.TB, s *store.Store, registry *schema.Registry, n, streams int) {
	tb.Helper()
	next := uint32(1)
	for done := 0; done < n; {
		byStream := map[event.StreamID][]event.Pending{}
		var order []event.StreamID
		for range min(2000, n-done) {
			next = next*1664525 + 1013904223
			i := int(next>>8) % streams
			id := event.StreamID(fmt.Sprintf("order-%d", i))
			e, err := registry.Encode(moved{OrderID: string(id), Customer: fmt.Sprintf("customer-%06d", i), Cents: 100, Note: "leave at the door, please"})
			must(tb, err)
			if byStream[id] == nil {
				order = append(order, id)
			}
			byStream[id] = append(byStream[id], e)
			done++
		}
		var c store.Commit
		for _, id := range order {
			c.Appends = append(c.Appends, store.Append{Stream: id, Expected: store.Any(), Events: byStream[id]})
		}
		_, err := s.Commit(tb.Context(), c)
		must(tb, err)
	}
}
