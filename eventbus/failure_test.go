package eventbus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/schema"
)

var errBoom = errors.New("boom")

func fails[E any](context.Context, E, eventbus.Message) error { return errBoom }

func TestAFailingHandlerIsTriedFourTimesAndThenItsMessageIsADeadLetter(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var (
			attempts box[int]
			times    box[time.Time]
			others   box[placed]
		)
		must(t, eventbus.On(bus, "bad", func(_ context.Context, _ placed, m eventbus.Message) error {
			attempts.add(m.Attempt)
			times.add(time.Now())
			return errBoom
		}, eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "good", into(&others), eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		synctest.Wait()
		if len(others.all()) != 1 {
			t.Error("the other handler has waited for the failing one")
		}
		must(t, bus.Flush(t.Context()))
		if got := attempts.all(); !slices.Equal(got, []int{1, 2, 3, 4}) {
			t.Fatalf("attempts %v, want 4", got)
		}
		for i, want := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
			if got := times.all()[i+1].Sub(times.all()[i]); got < want*8/10 || got > want*12/10 {
				t.Errorf("pause %d was %v, want about %v", i+1, got, want)
			}
		}
		letters := w.deadLetters(t, "")
		if len(letters) != 1 || letters[0].Source != "eventbus/shop/bad" || letters[0].Attempts != 4 || !strings.Contains(letters[0].Error, "boom") ||
			letters[0].Message.Headers["ce-type"] != "order.placed" || string(letters[0].Message.Body) != `{"order":"7","n":1}` {
			t.Errorf("dead letters: %+v", letters)
		}
		if len(others.all()) != 1 {
			t.Error("the other handler was called again")
		}
	})
}

func TestADeadLetterIsRetriedThroughItsHandlerOnly(t *testing.T) {
	for _, dispatch := range []eventbus.Dispatch{eventbus.Parallel, eventbus.Sequential} {
		bubble(t, func(t *testing.T, w *world) {
			bus := w.bus(t, eventbus.Options{Dispatch: dispatch})
			var (
				broken   = true
				attempts box[int]
				others   box[placed]
			)
			must(t, eventbus.On(bus, "bad", func(_ context.Context, _ placed, m eventbus.Message) error {
				attempts.add(m.Attempt)
				if broken {
					return errBoom
				}
				return nil
			}, eventbus.HandlerOptions{Retry: broker.Retry{Attempts: 1}}))
			must(t, eventbus.On(bus, "good", into(&others), eventbus.HandlerOptions{}))
			run(t, bus)
			must(t, bus.Publish(t.Context(), placed{"7", 1}))
			must(t, bus.Flush(t.Context()))
			id := w.deadLetters(t, "eventbus/shop/bad")[0].ID
			must(t, w.letters.Retry(t.Context(), id))
			sleep(2 * time.Second)
			if letter, err := w.letters.Get(t.Context(), id); err != nil || letter.Attempts != 2 || letter.State != "parked" {
				t.Errorf("after a retry that failed: %+v (%v)", letter, err)
			}
			broken = false
			must(t, w.letters.Retry(t.Context(), id))
			sleep(2 * time.Second)
			if left := w.deadLetters(t, ""); len(left) != 0 {
				t.Errorf("after a retry that succeeded there are letters: %+v", left)
			}
			if got := attempts.all(); !slices.Equal(got, []int{1, 2, 3}) {
				t.Errorf("attempts %v", got)
			}
			if len(others.all()) != 1 {
				t.Error("the retry reached another handler")
			}
		})
	}
}

// sleep lets the bubble's clock go on.
func sleep(d time.Duration) { <-time.After(d) }

func TestARetriedLetterThatTheHandlerDoesNotTakeIsNoSuccess(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		old := w.bus(t, eventbus.Options{Retry: broker.Retry{Attempts: 1}})
		must(t, eventbus.On(old, "h", fails[placed], eventbus.HandlerOptions{}))
		stop := run(t, old)
		must(t, old.Publish(t.Context(), placed{"7", 1}))
		must(t, old.Flush(t.Context()))
		must(t, stop())
		next := w.bus(t, eventbus.Options{})
		must(t, eventbus.On(next, "h", func(context.Context, paid, eventbus.Message) error { return nil }, eventbus.HandlerOptions{}))
		run(t, next)
		id := w.deadLetters(t, "")[0].ID
		must(t, w.letters.Retry(t.Context(), id))
		sleep(2 * time.Second)
		if letter, err := w.letters.Get(t.Context(), id); err != nil || !strings.Contains(letter.Error, "does not take") {
			t.Errorf("got %+v (%v)", letter, err)
		}
	})
}

func TestWhatCannotBeReadBecomesADeadLetterWithTheReasonAndBlocksNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var (
			orders box[aboutOrder]
			events box[placed]
		)
		must(t, eventbus.On(bus, "orders", into(&orders), eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "placed", into(&events), eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Declare(t.Context()))
		ce := func(eventType, body string) map[string]string {
			_ = body
			return map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/other", "ce-type": eventType}
		}
		must(t, w.broker.Publish(t.Context(),
			broker.Message{ID: "no-event", Topic: "events", Key: "7", Body: []byte("hello")},
			broker.Message{ID: "unknown", Topic: "events", Key: "7", Headers: ce("order.lost", ""), Body: []byte("{}")},
			broker.Message{ID: "broken", Topic: "events", Key: "7", Headers: ce("order.placed", ""), Body: []byte("{")},
			broker.Message{ID: "newer", Topic: "events", Key: "8", Headers: withVersion(ce("order.paid", "")), Body: []byte("{}")},
		))
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		if len(events.all()) != 1 {
			t.Error("the good event behind them was not handled")
		}
		got := map[string]string{}
		for _, letter := range w.deadLetters(t, "") {
			got[letter.ID] = letter.Error
			if letter.Attempts != 1 {
				t.Errorf("letter %s: %d attempts; a message that cannot be read is not tried again", letter.ID, letter.Attempts)
			}
		}
		for id, want := range map[string]string{
			"eventbus/shop/orders/no-event": "ce-type is missing",
			"eventbus/shop/placed/no-event": "ce-type is missing",
			"eventbus/shop/orders/unknown":  `"order.lost": not registered`,
			"eventbus/shop/placed/broken":   "decode into",
			"eventbus/shop/orders/newer":    "unknown schema version",
		} {
			if !strings.Contains(got[id], want) {
				t.Errorf("letter %s: %q, want %q", id, got[id], want)
			}
			delete(got, id)
		}
		if len(got) != 0 {
			t.Errorf("unexpected letters: %q", got)
		}
	})
}

func withVersion(headers map[string]string) map[string]string {
	headers["ce-schemaversion"] = "9"
	return headers
}

func TestAnUnknownTypeIsHandledByRetryOnceItIsRegistered(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var orders box[aboutOrder]
		bus := w.bus(t, eventbus.Options{})
		must(t, eventbus.On(bus, "orders", into(&orders), eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Declare(t.Context()))
		must(t, w.broker.Publish(t.Context(), broker.Message{ID: "1", Topic: "events", Body: []byte(`{"order":"7"}`), Headers: map[string]string{
			"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/other", "ce-type": "order.shipped",
		}}))
		must(t, bus.Flush(t.Context()))
		must(t, schema.Register[*shipped](w.registry, "order.shipped", schema.Options{}))
		must(t, w.letters.Retry(t.Context(), w.deadLetters(t, "")[0].ID))
		sleep(2 * time.Second)
		if got := orders.all(); len(got) != 1 || got[0].OrderID() != "7" || len(w.deadLetters(t, "")) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestPanicsTimeoutsAndPermanentErrorsFailTheMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var errs box[error]
		bus := w.bus(t, eventbus.Options{OnError: errs.add, Retry: broker.Retry{Attempts: 2}})
		var calls box[string]
		must(t, eventbus.On(bus, "panics", func(context.Context, placed, eventbus.Message) error { calls.add("panics"); panic("boom") }, eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "hangs", func(ctx context.Context, _ placed, _ eventbus.Message) error {
			calls.add("hangs")
			<-ctx.Done()
			return ctx.Err()
		}, eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "permanent", func(context.Context, placed, eventbus.Message) error {
			calls.add("permanent")
			return broker.Permanent(errBoom)
		}, eventbus.HandlerOptions{}))
		run(t, bus)
		begun := time.Now()
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		if took := time.Since(begun); took < time.Minute || took > 61*time.Second {
			t.Errorf("two attempts that hang took %v, want two times the default of 30 s", took)
		}
		got := calls.all()
		slices.Sort(got)
		if !slices.Equal(got, []string{"hangs", "hangs", "panics", "panics", "permanent"}) {
			t.Errorf("calls %v", got)
		}
		for source, want := range map[string]string{"panics": "panic: boom", "hangs": "timed out after 30s", "permanent": "boom"} {
			if letters := w.deadLetters(t, "eventbus/shop/"+source); len(letters) != 1 || !strings.Contains(letters[0].Error, want) {
				t.Errorf("%s: %+v, want %q", source, letters, want)
			}
		}
		var p *eventbus.PanicError
		if all := errors.Join(errs.all()...); !errors.As(all, &p) || !errors.Is(all, eventbus.ErrTimeout) || !errors.Is(all, context.DeadlineExceeded) {
			t.Errorf("OnError has seen %v", all)
		}
	})
}

func TestWithoutDeadLettersAMessageIsGivenUpAloud(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var errs box[error]
		bus := w.bus(t, eventbus.Options{DropFailed: true, OnError: errs.add, Retry: broker.Retry{Attempts: 1}})
		must(t, eventbus.On(bus, "bad", fails[placed], eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		if !slices.ContainsFunc(errs.all(), func(err error) bool { return strings.Contains(err.Error(), "given up") && errors.Is(err, errBoom) }) {
			t.Errorf("OnError has seen %v", errs.all())
		}
	})
}

func TestASequenceCallsHandlersInOrderAndRetriesTheFailingOneOnly(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{Dispatch: eventbus.Sequential})
		var trace box[string]
		handler := func(name string, failures int) func(context.Context, placed, eventbus.Message) error {
			return func(_ context.Context, _ placed, m eventbus.Message) error {
				trace.add(name)
				if m.Attempt <= failures {
					return errBoom
				}
				return nil
			}
		}
		must(t, eventbus.On(bus, "first", handler("first", 0), eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "second", handler("second", 2), eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "third", handler("third", 99), eventbus.HandlerOptions{Retry: broker.Retry{Attempts: 2}}))
		must(t, eventbus.On(bus, "fourth", handler("fourth", 0), eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		want := []string{"first", "second", "second", "second", "third", "third", "fourth"}
		if got := trace.all(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if letters := w.deadLetters(t, ""); len(letters) != 1 || letters[0].Source != "eventbus/shop/third" || letters[0].Attempts != 2 {
			t.Errorf("dead letters: %+v", letters)
		}
	})
}

func TestASequenceThatStopsOnErrorKeepsTheMessageForTheHandlersBehind(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{Dispatch: eventbus.Sequential, StopOnError: true, Retry: broker.Retry{Attempts: 1}})
		var before, after box[placed]
		must(t, eventbus.On(bus, "before", into(&before), eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "bad", fails[placed], eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "other", fails[paid], eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "after", into(&after), eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		if len(before.all()) != 1 || len(after.all()) != 0 {
			t.Errorf("before %v, after %v", before.all(), after.all())
		}
		letters := w.deadLetters(t, "eventbus/shop/after")
		if len(letters) != 1 || letters[0].Attempts != 0 || !strings.Contains(letters[0].Error, "handler bad has failed before") || len(w.deadLetters(t, "")) != 2 {
			t.Fatalf("dead letters: %+v", w.deadLetters(t, ""))
		}
		must(t, w.letters.Retry(t.Context(), letters[0].ID))
		sleep(2 * time.Second)
		if len(after.all()) != 1 {
			t.Error("the handler behind could not be retried")
		}
	})
}
