package saga_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// TestThreeWorkersShareTheWorkOnEveryBackend runs many sagas whose suppliers fail, do not answer and answer late, on three
// workers of which one is stopped and another begins meanwhile, and compares the world outside with the histories.
func TestThreeWorkersShareTheWorkOnEveryBackend(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		const instances = 60
		l := newLedger()
		o := brief(t)
		o.OnError = func(error) {}
		o.Timeout, o.Lease, o.PollInterval, o.Partitions = 100*time.Millisecond, time.Second, 50*time.Millisecond, 4
		wild := func(what string) saga.Action[order] {
			return func(ctx context.Context, o *order) error {
				switch rand.IntN(8) {
				case 0:
					return errSupplier
				case 1: // the work is done, but the answer is late
					err := l.book(ctx, what)
					<-ctx.Done()
					return err
				case 2:
					if what == "ship" && rand.IntN(2) == 0 {
						return saga.Permanent(errSupplier)
					}
				}
				return l.book(ctx, what)
			}
		}
		definition := func() *saga.Definition[order] {
			actions := map[string]saga.Action[order]{}
			for _, step := range []string{"reserve", "charge", "ship", "notify", "confirm"} {
				actions[step] = wild(step)
			}
			for step, undo := range map[string]string{"reserve": "release", "charge": "refund", "ship": "recall"} {
				actions["undo "+step] = l.does(undo)
			}
			return define(t, "fulfilment", 1, broken(l, actions)...)
		}
		worker := func() (*saga.Set, func()) {
			set := newSet(t, store.New(open(), store.Options{}), o, definition())
			return set, run(t, set)
		}
		set, stop := worker()
		_, _ = worker()
		for i := range instances {
			start(t, set, "fulfilment", fmt.Sprint(i), order{Item: fmt.Sprint(i)})
			if i == instances/2 {
				_, _ = worker()
			}
		}
		stop()
		log := store.New(open(), store.Options{})
		want := map[string]int{}
		statuses := map[saga.Status]int{}
		for i := range instances {
			d := settled(t, log, "fulfilment", fmt.Sprint(i), saga.StatusCompleted, saga.StatusCompensated)
			statuses[d.Status]++
			told := map[int]bool{} // tasks of which the history says that they may have taken effect
			for _, m := range d.History {
				if m.What == "step_succeeded" || m.What == "compensation_succeeded" {
					told[m.Task] = true
				}
			}
			for _, m := range d.History {
				if m.Key != "" && told[m.Task] {
					name := m.Step
					if m.What == "compensation_started" {
						name = map[string]string{"reserve": "release", "charge": "refund", "ship": "recall"}[m.Step]
					}
					want[name]++
				}
			}
		}
		got := l.counts()
		for what, n := range want {
			// An action whose outcome is unknown may have taken effect although the history does not say so.
			if got[what] < n || what != "reserve" && what != "charge" && what != "ship" && what != "notify" && what != "confirm" && got[what] != n {
				t.Errorf("%s took effect %d times, the histories say %d", what, got[what], n)
			}
		}
		t.Logf("%v; effects %v", statuses, got)
		indexed(t, log, saga.Filter{Saga: "fulfilment", Status: saga.StatusCompleted}, statuses[saga.StatusCompleted])
		indexed(t, log, saga.Filter{Saga: "fulfilment", Status: saga.StatusCompensated}, statuses[saga.StatusCompensated])
	})
}

// BenchmarkSteps measures durable steps, with 64 instances at work, beside few and beside many that wait.
func BenchmarkSteps(b *testing.B) {
	for _, waiting := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			everystore.Main(b, func(b *testing.B, open everystore.Opener) { benchmarkSteps(b, open, waiting) })
		})
	}
}

func benchmarkSteps(b *testing.B, open everystore.Opener, waiting int) {
	log := store.New(open(), store.Options{})
	var ends sync.Map
	step := func(context.Context, *order) error { return nil }
	last := func(ctx context.Context, _ *order) error {
		info, _ := saga.InfoFrom(ctx)
		end, _ := ends.Load(info.ID)
		close(end.(chan struct{}))
		return nil
	}
	set := newSet(b, log, saga.Options{Concurrency: 64 + waiting},
		define(b, "bench", 1,
			saga.Step[order]{Name: "a", Action: step}, saga.Step[order]{Name: "b", Action: step},
			saga.Step[order]{Name: "c", Action: step}, saga.Step[order]{Name: "d", Action: last}),
		define(b, "idle", 1, saga.Step[order]{Name: "wait", Await: saga.Await[order]{Signal: "go", Within: 1000 * time.Hour}}))
	run(b, set)
	parallel := func(n int, do func(id string)) {
		var next atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				for i := next.Add(1); i <= int64(n); i = next.Add(1) {
					do(fmt.Sprint(i))
				}
			})
		}
		all.Wait()
	}
	begin := func(name, id string) {
		if err := set.Start(context.Background(), name, id, order{Item: "cup"}, saga.StartOptions{}); err != nil {
			b.Error(err)
		}
	}
	parallel(waiting, func(id string) { begin("idle", id) })
	indexed(b, log, saga.Filter{Saga: "idle", Status: saga.StatusWaiting}, waiting)
	b.ResetTimer()
	parallel(b.N, func(id string) {
		end := make(chan struct{})
		ends.Store(id, end)
		begin("bench", id)
		<-end
	})
	b.ReportMetric(4*float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}
