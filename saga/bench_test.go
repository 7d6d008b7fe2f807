package saga_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/sqlitestore"
)

// bench is a store on which a set runs, with sagas of four steps, of one, and of one that waits for a signal.
type bench struct {
	log  *store.Store
	set  *saga.Set
	ends sync.Map // by instance: a channel that its last step closes
	next atomic.Int64
}

func newBench(b *testing.B, backend store.Backend) *bench {
	b.Helper()
	x := &bench{log: store.New(backend, store.Options{})}
	step := func(context.Context, *order) error { return nil }
	last := func(ctx context.Context, _ *order) error {
		info, _ := saga.InfoFrom(ctx)
		end, _ := x.ends.LoadAndDelete(info.ID)
		close(end.(chan struct{}))
		return nil
	}
	x.set = newSet(b, x.log, saga.Options{},
		define(b, "four", 1,
			saga.Step[order]{Name: "a", Action: step}, saga.Step[order]{Name: "b", Action: step},
			saga.Step[order]{Name: "c", Action: step}, saga.Step[order]{Name: "d", Action: last}),
		define(b, "one", 1, saga.Step[order]{Name: "a", Action: last}),
		define(b, "waiting", 1, saga.Step[order]{Name: "wait", Await: saga.Await[order]{Signal: "go", Within: 1000 * time.Hour}}))
	run(b, x.set)
	return x
}

// begin starts n instances, 64 at the same time, and waits for the last step of each, or not.
func (x *bench) begin(b *testing.B, name string, n int, wait bool) {
	var (
		left = atomic.Int64{}
		all  sync.WaitGroup
	)
	left.Store(int64(n))
	for range 64 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				id := fmt.Sprint(x.next.Add(1))
				end := make(chan struct{})
				if wait {
					x.ends.Store(id, end)
				}
				if err := x.set.Start(context.Background(), name, id, order{Item: "cup"}, saga.StartOptions{}); err != nil {
					b.Error(err)
					return
				}
				if wait {
					<-end
				}
			}
		})
	}
	all.Wait()
}

// work runs n instances of four steps to their last step, 64 at the same time.
func (x *bench) work(b *testing.B, n int) { x.begin(b, "four", n, true) }

// fill makes instances that wait, or that have ended, and waits until the index has all of them.
func (x *bench) fill(b *testing.B, what string, n int) {
	b.Helper()
	if what == "waiting" {
		x.begin(b, "waiting", n, false)
		x.settled(b, saga.Filter{Saga: "waiting", Status: saga.StatusWaiting}, n)
		return
	}
	x.begin(b, "one", n, true)
	x.settled(b, saga.Filter{Saga: "one", Status: saga.StatusCompleted}, n)
}

// settled waits until the index has so many.
func (x *bench) settled(b *testing.B, f saga.Filter, n int) {
	b.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		found := 0
		for i, err := range x.set.Control().List(context.Background(), saga.Filter{Saga: f.Saga}) {
			if err != nil {
				b.Fatal(err)
			}
			if i.Status == f.Status {
				found++
			}
		}
		if found >= n {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("the index has %d of %d", found, n)
		}
	}
}

// BenchmarkSteps measures durable steps, with 64 instances at work.
func BenchmarkSteps(b *testing.B) {
	everystore.Main(b, func(b *testing.B, open everystore.Opener) {
		x := newBench(b, open())
		b.ReportAllocs()
		b.ResetTimer()
		x.work(b, b.N)
		b.ReportMetric(4*float64(b.N)/b.Elapsed().Seconds(), "steps/s")
	})
}

// BenchmarkCrowd measures steps beside 10 instances that wait, or have ended, and beside many, in turns, and gives the
// median of the rounds' ratios. LEX_BENCH_SAGAS says how many; defaults to 1,000.
func BenchmarkCrowd(b *testing.B) {
	many, err := strconv.Atoi(os.Getenv("LEX_BENCH_SAGAS"))
	if err != nil || many < 1 {
		many = 1000
	}
	for _, what := range []string{"waiting", "ended"} {
		b.Run(fmt.Sprintf("%d_%s", many, what), func(b *testing.B) {
			b.Run("sqlite", func(b *testing.B) {
				benchmarkCrowd(b, what, many, func() (store.Backend, error) {
					return sqlitestore.Open(b.Context(), filepath.Join(b.TempDir(), "events.db"), sqlitestore.Options{AutoMigrate: true})
				})
			})
			b.Run("postgres", func(b *testing.B) {
				benchmarkCrowd(b, what, many, func() (store.Backend, error) {
					url, schema := everystore.Postgres(b)
					return pgstore.Open(b.Context(), url, pgstore.Options{AutoMigrate: true, Schema: schema})
				})
			})
		})
	}
}

func benchmarkCrowd(b *testing.B, what string, many int, open func() (store.Backend, error)) {
	fresh := func() *bench {
		backend, err := open()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = backend.Close() })
		return newBench(b, backend)
	}
	alone, crowded := fresh(), fresh()
	alone.fill(b, what, 10)
	crowded.fill(b, what, many)
	const round = 300
	alone.work(b, round)
	crowded.work(b, round)
	var ratios, few, lots []float64
	for b.Loop() {
		timed := func(x *bench) float64 {
			begun := time.Now()
			x.work(b, round)
			return time.Since(begun).Seconds()
		}
		a := timed(alone)
		c := timed(crowded)
		ratios, few, lots = append(ratios, c/a), append(few, 4*round/a), append(lots, 4*round/c)
	}
	median := func(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
	b.ReportMetric(median(ratios), "cost-ratio")
	b.ReportMetric(median(few), "steps/s-beside-10")
	b.ReportMetric(median(lots), "steps/s")
}
