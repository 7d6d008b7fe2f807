package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
)

func TestNoMoreHandlersRunAtOnceThanTheBusAllows(t *testing.T) {
	for _, dispatch := range []eventbus.Dispatch{eventbus.Parallel, eventbus.Sequential} {
		bubble(t, func(t *testing.T, w *world) {
			bus := w.bus(t, eventbus.Options{Dispatch: dispatch, MaxConcurrentHandlers: 2})
			var now, most, calls atomic.Int32
			for i := range 5 {
				must(t, eventbus.On(bus, fmt.Sprintf("h%d", i), func(context.Context, placed, eventbus.Message) error {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					calls.Add(1)
					sleep(time.Second)
					now.Add(-1)
					return nil
				}, eventbus.HandlerOptions{}))
			}
			run(t, bus)
			for n := range 10 {
				must(t, bus.Publish(t.Context(), placed{fmt.Sprint(n), n}))
			}
			must(t, bus.Flush(t.Context()))
			if most.Load() != 2 || calls.Load() != 50 {
				t.Errorf("%d calls, at most %d at the same time; want 50, and 2", calls.Load(), most.Load())
			}
		})
	}
}

func TestAHandlersOwnConcurrencyIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var now atomic.Int32
		must(t, eventbus.On(bus, "one", func(context.Context, placed, eventbus.Message) error {
			if now.Add(1) > 1 {
				t.Error("two calls at the same time")
			}
			sleep(time.Second)
			now.Add(-1)
			return nil
		}, eventbus.HandlerOptions{Concurrency: 1}))
		run(t, bus)
		for n := range 5 {
			must(t, bus.Publish(t.Context(), placed{fmt.Sprint(n), n}))
		}
		must(t, bus.Flush(t.Context()))
	})
}

func TestSlowHandlersHoldUpNoOthers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{MaxConcurrentHandlers: 3, MaxQueue: 5})
		release := make(chan struct{})
		for i := range 2 {
			must(t, eventbus.On(bus, fmt.Sprintf("slow%d", i), func(context.Context, placed, eventbus.Message) error { <-release; return nil }, eventbus.HandlerOptions{}))
		}
		var quick box[placed]
		must(t, eventbus.On(bus, "quick", into(&quick), eventbus.HandlerOptions{}))
		run(t, bus)
		for n := range 50 {
			must(t, bus.Publish(t.Context(), placed{fmt.Sprint(n), n}))
		}
		synctest.Wait()
		if n := len(quick.all()); n != 50 {
			t.Errorf("the quick handler got %d of 50 events while the others hang", n)
		}
		close(release)
		must(t, bus.Flush(t.Context()))
	})
}

func TestTheQueueOfAHandlerIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		first := w.bus(t, eventbus.Options{MaxQueue: 10, MaxConcurrentHandlers: 1})
		must(t, eventbus.On(first, "h", func(context.Context, placed, eventbus.Message) error { <-release; return nil }, eventbus.HandlerOptions{}))
		run(t, first)
		for n := range 30 {
			must(t, first.Publish(t.Context(), placed{fmt.Sprint(n), n}))
		}
		synctest.Wait()
		var got box[placed]
		second := w.bus(t, eventbus.Options{})
		must(t, eventbus.On(second, "h", into(&got), eventbus.HandlerOptions{}))
		run(t, second)
		synctest.Wait()
		if n := len(got.all()); n != 20 {
			t.Errorf("another process got %d messages, want the 20 that the first, with a queue of 10, has left", n)
		}
		close(release)
	})
}

func TestRunDrainsWhenItIsStopped(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var got box[placed]
		must(t, eventbus.On(bus, "h", func(ctx context.Context, e placed, _ eventbus.Message) error {
			sleep(5 * time.Second)
			got.add(e)
			return ctx.Err()
		}, eventbus.HandlerOptions{}))
		stop := run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}, placed{"8", 1}, placed{"7", 2}))
		synctest.Wait()
		must(t, stop())
		if n := len(got.all()); n != 2 {
			t.Errorf("%d events were handled, want the 2 that were begun", n)
		}
		if b, err := w.broker.Backlog(t.Context(), broker.Group{Name: "shop.h", Topics: []string{"events"}}); err != nil || b.Messages != 1 {
			t.Errorf("backlog %+v (%v), want what was not begun", b, err)
		}
	})
}

func TestStoppingIsNoFailure(t *testing.T) {
	for _, dispatch := range []eventbus.Dispatch{eventbus.Parallel, eventbus.Sequential} {
		bubble(t, func(t *testing.T, w *world) {
			bus := w.bus(t, eventbus.Options{Dispatch: dispatch, Grace: time.Second, Retry: broker.Retry{Attempts: 1}})
			must(t, eventbus.On(bus, "h", func(ctx context.Context, _ placed, _ eventbus.Message) error { <-ctx.Done(); return ctx.Err() }, eventbus.HandlerOptions{}))
			stop := run(t, bus)
			must(t, bus.Publish(t.Context(), placed{"7", 1}))
			synctest.Wait()
			begun := time.Now()
			must(t, stop())
			if took := time.Since(begun); took != time.Second {
				t.Errorf("it took %v to stop, want the grace", took)
			}
			if letters := w.deadLetters(t, ""); len(letters) != 0 {
				t.Errorf("the stop made a dead letter: %+v", letters)
			}
			if b, err := w.broker.Backlog(t.Context(), broker.Group{Name: bus.Handlers()[0].Group, Topics: []string{"events"}}); err != nil || b.Messages != 1 {
				t.Errorf("backlog %+v (%v), want the message", b, err)
			}
		})
	}
}

func TestHandlersMayPublish(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{MaxConcurrentHandlers: 1, MaxQueue: 1})
		var got box[int]
		must(t, eventbus.On(bus, "h", func(ctx context.Context, e placed, _ eventbus.Message) error {
			got.add(e.N)
			if e.N < 100 {
				return bus.Publish(ctx, placed{e.Order, e.N + 1})
			}
			return nil
		}, eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Publish(t.Context(), placed{"8", 100}))
		synctest.Wait()
		if n := len(got.all()); n != 101 {
			t.Errorf("%d events were handled, want 101", n)
		}
	})
}

func TestFlushWaitsForWhatWasPublishedBeforeAndNotForMore(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var got box[placed]
		must(t, eventbus.On(bus, "h", func(ctx context.Context, e placed, _ eventbus.Message) error {
			sleep(time.Second)
			got.add(e)
			return bus.Publish(ctx, placed{e.Order, e.N + 1}) // for ever
		}, eventbus.HandlerOptions{}))
		run(t, bus)
		for n := range 20 {
			must(t, bus.Publish(t.Context(), placed{fmt.Sprint(n), 0}))
		}
		must(t, bus.Flush(t.Context()))
		first := 0
		for _, e := range got.all() {
			if e.N == 0 {
				first++
			}
		}
		if first != 20 {
			t.Errorf("Flush came back after %d of 20 events", first)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := bus.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestAMessageThatComesAgainIsHandledOnceWhereAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{Retry: broker.Retry{Attempts: 2}})
		var once, each, late box[placed]
		failed := false
		must(t, eventbus.On(bus, "once", func(_ context.Context, e placed, _ eventbus.Message) error {
			if !failed {
				failed = true
				return errBoom // a failure leaves no mark
			}
			once.add(e)
			return nil
		}, eventbus.HandlerOptions{Deduplicate: time.Hour}))
		must(t, eventbus.On(bus, "each", into(&each), eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "late", into(&late), eventbus.HandlerOptions{Deduplicate: time.Minute}))
		run(t, bus)
		again := eventbus.Outgoing{Event: placed{"7", 1}, ID: event.NewID()}
		must(t, bus.Publish(t.Context(), again, again))
		must(t, bus.Publish(t.Context(), again))
		must(t, bus.Flush(t.Context()))
		sleep(10 * time.Minute)
		must(t, bus.Publish(t.Context(), again))
		must(t, bus.Flush(t.Context()))
		if len(once.all()) != 1 || len(each.all()) != 4 || len(late.all()) != 2 {
			t.Errorf("once %d, each %d, late %d; want 1, 4, 2", len(once.all()), len(each.all()), len(late.all()))
		}
		if letters := w.deadLetters(t, ""); len(letters) != 0 {
			t.Errorf("dead letters: %+v", letters)
		}
	})
}

func TestADuplicateWaitsForTheOneThatIsBeingHandled(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var (
			calls   box[time.Time]
			outcome atomic.Pointer[error]
		)
		for range 2 { // two processes
			bus := w.bus(t, eventbus.Options{Retry: broker.Retry{Attempts: 1}})
			must(t, eventbus.On(bus, "h", func(context.Context, paid, eventbus.Message) error {
				calls.add(time.Now())
				sleep(10 * time.Second)
				if err := outcome.Swap(nil); err != nil {
					return *err
				}
				return nil
			}, eventbus.HandlerOptions{Deduplicate: time.Hour}))
			run(t, bus)
		}
		publisher := w.bus(t, eventbus.Options{})
		synctest.Wait()
		id := event.NewID()
		must(t, publisher.Publish(t.Context(), eventbus.Outgoing{Event: paid{"7", 1}, ID: id}, eventbus.Outgoing{Event: paid{"7", 1}, ID: id}))
		sleep(time.Minute)
		if n := len(calls.all()); n != 1 {
			t.Errorf("%d calls, want 1: the duplicate was to wait and be skipped", n)
		}
		outcome.Store(&errBoom)
		id = event.NewID()
		must(t, publisher.Publish(t.Context(), eventbus.Outgoing{Event: paid{"7", 2}, ID: id}, eventbus.Outgoing{Event: paid{"7", 2}, ID: id}))
		sleep(time.Minute)
		if got := calls.all(); len(got) != 3 || got[2].Sub(got[1]) < 10*time.Second {
			t.Errorf("calls at %v: the duplicate was to wait for the failure, and then be handled", got)
		}
	})
}

func TestHandlersAreListed(t *testing.T) {
	w := newWorld(t)
	bus := w.bus(t, eventbus.Options{})
	must(t, eventbus.On(bus, "mail", fails[placed], eventbus.HandlerOptions{}))
	must(t, eventbus.On(bus, "orders", fails[aboutOrder], eventbus.HandlerOptions{}))
	want := []eventbus.HandlerInfo{
		{Name: "mail", Takes: "eventbus_test.placed", Group: "shop.mail", Source: "eventbus/shop/mail"},
		{Name: "orders", Takes: "eventbus_test.aboutOrder", Group: "shop.orders", Source: "eventbus/shop/orders"},
	}
	if got := bus.Handlers(); !slices.Equal(got, want) || bus.Name() != "eventbus/shop" {
		t.Errorf("got %+v", got)
	}
}
