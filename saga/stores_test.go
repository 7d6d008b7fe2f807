package saga_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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
