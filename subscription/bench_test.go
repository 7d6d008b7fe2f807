package subscription_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// payload is about as large as the JSON of a small order.
const payload = `{"order_id":"4f9c2a31","customer":"customer-000117","currency":"EUR","lines":[{"sku":"A-1007","quantity":2,"price":1295},{"sku":"B-0042","quantity":1,"price":4990}],"note":"leave at the door, please"}`

// BenchmarkCatchUp compares a handler that does nothing with a plain read of the same log, in turns in one run.
func BenchmarkCatchUp(b *testing.B) {
	const n = 400_000
	everystore.Main(b, func(b *testing.B, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		fill(b, s, n)
		for _, err := range s.ReadLog(b.Context(), store.LogRead{}) { // the first read of new rows costs the server more
			if err != nil {
				b.Fatal(err)
			}
		}
		for _, partitions := range []int{1, 4} {
			b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
				var raw, fed time.Duration
				b.ReportAllocs()
				run := 0
				for b.Loop() {
					begun := time.Now()
					count := 0
					for _, err := range s.ReadLog(b.Context(), store.LogRead{}) {
						if err != nil {
							b.Fatal(err)
						}
						count++
					}
					raw += time.Since(begun)
					run++
					handled, took := catchUp(b, s, fmt.Sprintf("bench-%d-%d-%d", partitions, run, b.N), partitions)
					fed += took
					if count != n || handled != n {
						b.Fatalf("read %d and handled %d events of %d", count, handled, n)
					}
				}
				b.ReportMetric(float64(run)*n/fed.Seconds(), "events/s")
				b.ReportMetric(float64(run)*n/raw.Seconds(), "raw-events/s")
				b.ReportMetric(raw.Seconds()/fed.Seconds(), "ratio")
			})
		}
	})
}

// catchUp runs a subscription until it has caught up. The time is that from its start until then.
func catchUp(b *testing.B, s *store.Store, name string, partitions int) (int64, time.Duration) {
	b.Helper()
	var handled atomic.Int64
	sub, err := subscription.New(s, name, subscription.Handler(func(context.Context, event.Recorded) error {
		handled.Add(1)
		return nil
	}), subscription.Options{Partitions: partitions, OnError: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- sub.Run(ctx) }()
	select {
	case <-sub.CaughtUp():
	case err := <-done:
		b.Fatal(err)
	}
	took := time.Since(begun)
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return handled.Load(), took
}

// BenchmarkLatency is the time from just before an append to the handling of its event, in an idle system.
func BenchmarkLatency(b *testing.B) {
	everystore.Main(b, func(b *testing.B, open everystore.Opener) {
		for _, c := range []struct {
			name string
			own  bool
		}{{"same handle", true}, {"another handle", false}} {
			b.Run(c.name, func(b *testing.B) {
				appends := store.New(open(), store.Options{})
				s := appends
				if !c.own {
					s = store.New(open(), store.Options{})
				}
				got := make(chan time.Time, 1)
				sub, err := subscription.New(s, "latency "+c.name, subscription.Handler(func(context.Context, event.Recorded) error {
					got <- time.Now()
					return nil
				}), subscription.Options{Start: subscription.FromNow(), OnError: func(err error) { b.Error(err) }})
				if err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- sub.Run(ctx) }()
				<-sub.CaughtUp()
				var took []time.Duration
				pause := time.NewTicker(3 * time.Millisecond)
				defer pause.Stop()
				for b.Loop() {
					<-pause.C
					begun := time.Now()
					if _, err := appends.Append(b.Context(), "idle-1", store.Any(), event.Pending{Type: "thing", Data: []byte(payload)}); err != nil {
						b.Fatal(err)
					}
					took = append(took, (<-got).Sub(begun))
				}
				stop()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				slices.Sort(took)
				for _, p := range []int{50, 99} {
					b.ReportMetric(float64(took[(len(took)-1)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
				}
				b.ReportMetric(0, "ns/op") // it is mostly the pause
			})
		}
	})
}

// fill appends n events to streams of 10.
func fill(tb testing.TB, s *store.Store, n int) {
	tb.Helper()
	for i := 0; i < n; i += 1000 {
		var c store.Commit
		for j := i; j < min(i+1000, n); j += 10 {
			part := store.Append{Stream: event.StreamID(fmt.Sprintf("fill-%d", j/10)), Expected: store.NoStream()}
			for range 10 {
				part.Events = append(part.Events, event.Pending{Type: "order.placed", Data: []byte(payload)})
			}
			c.Appends = append(c.Appends, part)
		}
		if _, err := s.Commit(tb.Context(), c); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkAppendsBesideAFollower compares 64 writers with and without a subscription that follows them, in turns.
func BenchmarkAppendsBesideAFollower(b *testing.B) {
	everystore.Main(b, func(b *testing.B, open everystore.Opener) {
		s, other := store.New(open(), store.Options{}), store.New(open(), store.Options{})
		const each = 100
		round := 0
		write := func() time.Duration {
			round++
			begun := time.Now()
			var writing sync.WaitGroup
			for w := range 64 {
				writing.Go(func() {
					stream := event.StreamID(fmt.Sprintf("w-%d-%d", round, w))
					for v := range each {
						if _, err := s.Append(b.Context(), stream, store.Exactly(event.Version(v)), event.Pending{Type: "thing", Data: []byte(payload)}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			writing.Wait()
			return time.Since(begun)
		}
		write() // the first one is not like the others
		var alone, followed time.Duration
		for b.Loop() {
			alone += write()
			sub, err := subscription.New(other, "follower", subscription.Handler(func(context.Context, event.Recorded) error { return nil }),
				subscription.Options{Start: subscription.FromNow(), OnError: func(err error) { b.Error(err) }})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- sub.Run(ctx) }()
			<-sub.CaughtUp()
			followed += write()
			stop()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*64*each/followed.Seconds(), "events/s")
		b.ReportMetric(float64(b.N)*64*each/alone.Seconds(), "alone-events/s")
		b.ReportMetric(alone.Seconds()/followed.Seconds(), "ratio")
	})
}
