package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/store"
)

// TestThreeWorkersMakeEachDeliveryOnEveryBackend lets three workers share deliveries. One dies in the middle of its work,
// so that its leases run out; one is stopped; two more begin.
func TestThreeWorkersMakeEachDeliveryOnEveryBackend(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		const n = 400
		c := &calls{}
		failing := func(context.Context, remind) error {
			if rand.IntN(10) == 0 {
				return errBusy
			}
			return nil
		}
		worker := func(b store.Backend) func() {
			return run(t, newScheduler(t, store.New(b, store.Options{}), brief(t, c, failing)))
		}
		log := store.New(open(), store.Options{})
		s := newScheduler(t, log, brief(t, &calls{}, nil))
		now := time.Now()
		for i := range n {
			must(t, s.At(t.Context(), "e"+number(i), now.Add(time.Duration(i)*time.Millisecond), schedule.Event(event.StreamID(fmt.Sprintf("reminder-%d", i%7)), reminded{number(i)})))
			must(t, s.At(t.Context(), "c"+number(i), now.Add(time.Duration(i)*time.Millisecond), schedule.Command(remind{number(i)})))
		}
		dying := &mortal{Backend: open(), n: 30, effect: true}
		stopDead := worker(dying)
		stop := worker(open())
		worker(open())
		stop()
		worker(open())
		empty(t, s.Control)
		stopDead()
		worker(open())
		events := map[string]int{}
		for i := range 7 {
			for _, e := range stored(t, log, event.StreamID(fmt.Sprintf("reminder-%d", i))) {
				events[string(e.Data)]++
			}
		}
		for what, times := range events {
			if times != 1 {
				t.Errorf("event %s is stored %d times", what, times)
			}
		}
		ids := map[string]event.ID{}
		for _, got := range c.list() {
			if key, known := ids[got.info.ID]; known && key != got.info.Key {
				t.Errorf("delivery %s has the keys %s and %s", got.info.ID, key, got.info.Key)
			}
			ids[got.info.ID] = got.info.Key
		}
		if len(events) != n || len(ids) != n || len(records(t, log)) != 0 {
			t.Errorf("%d events and %d commands of %d; left %v", len(events), len(ids), n, records(t, log))
		}
	})
}

// TestACrashAtAnyWriteLosesAndDoublesNothing lets a process die at its n-th write, for each n, with the write done and with
// it undone, and lets another process go on.
func TestACrashAtAnyWriteLosesAndDoublesNothing(t *testing.T) {
	for _, effect := range []bool{false, true} {
		for n, died := 1, true; died; n++ {
			log, c := memory(t), &calls{}
			o := brief(t, c, nil)
			o.Lease, o.PollInterval, o.Grace = 60*time.Millisecond, 5*time.Millisecond, time.Millisecond
			setup := newScheduler(t, log, o)
			past := time.Now().Add(-time.Second)
			for i := range 4 {
				must(t, setup.At(t.Context(), "e"+number(i), past, schedule.Event("reminder-1", reminded{number(i)})))
				must(t, setup.At(t.Context(), "c"+number(i), past, schedule.Command(remind{number(i)})))
			}
			dying := &mortal{Backend: log.Backend(), n: n, effect: effect}
			stop := run(t, newScheduler(t, dying.store(), o))
			tick := time.NewTicker(time.Millisecond)
			for !dying.isDead() && len(records(t, log)) > 0 {
				<-tick.C
			}
			tick.Stop()
			died = dying.isDead()
			dying.kill()
			stop()
			stop = run(t, newScheduler(t, log, o))
			empty(t, setup.Control)
			stop()
			events := map[string]bool{}
			for _, e := range stored(t, log, "reminder-1") {
				if events[string(e.Data)] {
					t.Errorf("death at write %d: %s is stored twice", n, e.Data)
				}
				events[string(e.Data)] = true
			}
			if len(events) != 4 || len(c.keys) != 4 {
				t.Errorf("death at write %d, effect %v: %d events, %d commands", n, effect, len(events), len(c.keys))
			}
		}
	}
}

// TestOfACancellationAndADeliveryOneWins races them, and believes what the canceller is told.
func TestOfACancellationAndADeliveryOneWins(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		const n = 60
		log, c := store.New(open(), store.Options{}), &calls{}
		s := newScheduler(t, log, brief(t, c, nil))
		other := schedule.NewControl(store.New(open(), store.Options{}))
		defer run(t, s)()
		var cancelled, late atomic.Int64
		told := make([]error, 2*n)
		var all sync.WaitGroup
		for i := range 2 * n {
			all.Go(func() {
				d := schedule.Command(remind{number(i)})
				if i%2 == 0 {
					d = schedule.Event("reminder-1", reminded{number(i)})
				}
				if err := s.After(context.Background(), number(i), time.Duration(rand.IntN(2)*rand.IntN(1000))*time.Microsecond, d); err != nil {
					t.Error(err)
					return
				}
				told[i] = other.Cancel(context.Background(), number(i))
			})
		}
		all.Wait()
		empty(t, s.Control)
		made := map[string]bool{}
		for _, got := range c.list() {
			made[got.who] = true
		}
		for _, e := range stored(t, log, "reminder-1") {
			made[string(e.Data[len(`{"who":"`):len(e.Data)-len(`"}`)])] = true
		}
		for i, err := range told {
			switch {
			case err == nil:
				cancelled.Add(1)
			case errors.Is(err, schedule.ErrUnknown) || errors.Is(err, schedule.ErrDelivering):
				late.Add(1)
			default:
				t.Errorf("cancel %d: %v", i, err)
			}
			if made[number(i)] == (err == nil) {
				t.Errorf("number %d: made %v, the canceller was told %v", i, made[number(i)], err)
			}
		}
		t.Logf("%d cancelled, %d too late", cancelled.Load(), late.Load())
	})
}
