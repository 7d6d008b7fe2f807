package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// payload is about as large as the JSON of a small order.
const payload = `{"order_id":"4f9c2a31","customer":"customer-000117","currency":"EUR","lines":[{"sku":"A-1007","quantity":2,"price":1295},{"sku":"B-0042","quantity":1,"price":4990}],"note":"leave at the door, please"}`

// Benchmark measures a backend: appends by one and by 64 writers, of 1 and of 10 events, the replay of a log, the load
// of a stream, and a compare-and-set. It reports events per second.
func Benchmark(b *testing.B, open func(b *testing.B) store.Backend) {
	for _, c := range []struct{ writers, events int }{{1, 1}, {64, 1}, {1, 10}, {64, 10}} {
		b.Run(fmt.Sprintf("append/writers=%d/events=%d", c.writers, c.events), func(b *testing.B) {
			benchAppend(b, store.New(open(b), store.Options{}), c.writers, c.events)
		})
	}
	b.Run("replay", func(b *testing.B) {
		s := store.New(open(b), store.Options{})
		const n = 40_000
		fill(b, s, n)
		b.ReportAllocs()
		for b.Loop() {
			read := 0
			for _, err := range s.ReadLog(b.Context(), store.LogRead{}) {
				if err != nil {
					b.Fatal(err)
				}
				read++
			}
			if read != n {
				b.Fatalf("read %d events of %d", read, n)
			}
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("load/events=10", func(b *testing.B) {
		s := store.New(open(b), store.Options{})
		fill(b, s, 10_000)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			stream := event.StreamID(fmt.Sprintf("fill-%d", i%1000))
			for _, err := range s.ReadStream(b.Context(), store.StreamRead{Stream: stream}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("record/compare-and-set", func(b *testing.B) {
		s := store.New(open(b), store.Options{})
		var current store.Revision
		b.ReportAllocs()
		for b.Loop() {
			revisions, err := s.Apply(b.Context(), store.Put("bench", "k", []byte(payload)).When(store.IfRevision(current)))
			if err != nil {
				b.Fatal(err)
			}
			current = revisions[0]
		}
	})
}

// fill appends n events to streams of 10.
func fill(b *testing.B, s *store.Store, n int) {
	b.Helper()
	for i := 0; i < n; i += 1000 {
		var c store.Commit
		for j := i; j < min(i+1000, n); j += 10 {
			part := store.Append{Stream: event.StreamID(fmt.Sprintf("fill-%d", j/10)), Expected: store.NoStream()}
			for range 10 {
				part.Events = append(part.Events, event.Pending{Type: "order.placed", Data: []byte(payload)})
			}
			c.Appends = append(c.Appends, part)
		}
		if _, err := s.Commit(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func benchAppend(b *testing.B, s *store.Store, writers, events int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := event.StreamID(fmt.Sprintf("bench-%d", w))
			batch, data := make([]event.Pending, events), []byte(payload)
			version := event.Version(0)
			for left.Add(-1) >= 0 {
				for i := range batch {
					batch[i] = event.Pending{Type: "order.placed", Data: data}
				}
				res, err := s.Append(b.Context(), stream, store.Exactly(version), batch...)
				if err != nil {
					b.Error(err)
					return
				}
				version = res.Version()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}
