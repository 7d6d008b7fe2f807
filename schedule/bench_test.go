package schedule_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/store"
)

// fill schedules n deliveries.
func fill(b *testing.B, s *schedule.Scheduler, prefix string, n int, at time.Time, d func(i int) schedule.Delivery) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := s.At(context.Background(), fmt.Sprintf("%s%d", prefix, i), at, d(int(i))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func aReminder(i int) schedule.Delivery {
	return schedule.Event(event.StreamID(fmt.Sprintf("reminder-%d", i%1000)), reminded{"ann"})
}

func aCommand(int) schedule.Delivery { return schedule.Command(remind{"ann"}) }

// BenchmarkFiring measures how fast deliveries are made that are all due, beside few and beside many that are not. Run it
// with -benchtime 20000x or so.
func BenchmarkFiring(b *testing.B) {
	for _, kind := range []struct {
		name string
		make func(int) schedule.Delivery
	}{{"events", aReminder}, {"commands", aCommand}} {
		for _, pending := range []int{10, 100_000} {
			b.Run(fmt.Sprintf("%s/pending=%d", kind.name, pending), func(b *testing.B) {
				everystore.Main(b, func(b *testing.B, open everystore.Opener) {
					pending := pending
					o := options(b, &calls{}, nil)
					o.Commands, o.PollInterval = &counter{}, time.Second
					s := newScheduler(b, store.New(open(), store.Options{}), o)
					if b.N == 1 { // the testing package tries one first
						pending = 1
					}
					fill(b, s, "idle", pending, time.Now().Add(1000*time.Hour), kind.make)
					fill(b, s, "due", b.N, time.Now().Add(-time.Hour), kind.make)
					if b.Failed() {
						return
					}
					b.ResetTimer()
					stop := run(b, s)
					drained(b, s)
					b.StopTimer()
					stop()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
				})
			})
		}
	}
}

// counter is a bus that does nothing.
type counter struct{ n atomic.Int64 }

func (c *counter) Dispatch(context.Context, any) (any, error) { return c.n.Add(1), nil }

// drained waits until nothing is due any more.
func drained(b *testing.B, s *schedule.Scheduler) {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		left := false
		for _, err := range s.List(context.Background(), schedule.Filter{Before: time.Now(), Limit: 1}) {
			must(b, err)
			left = true
		}
		if !left {
			return
		}
	}
}

// BenchmarkScheduling measures how fast 64 callers schedule.
func BenchmarkScheduling(b *testing.B) {
	everystore.Main(b, func(b *testing.B, open everystore.Opener) {
		s := newScheduler(b, store.New(open(), store.Options{}), options(b, &calls{}, nil))
		b.ResetTimer()
		fill(b, s, "x", b.N, time.Now().Add(time.Hour), aReminder)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	})
}
