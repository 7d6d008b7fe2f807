package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
)

func TestEventsReachHandlersByTypeByInterfaceAndAll(t *testing.T) {
	for _, dispatch := range []eventbus.Dispatch{eventbus.Parallel, eventbus.Sequential} {
		t.Run(fmt.Sprint(dispatch), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				bus := w.bus(t, eventbus.Options{Dispatch: dispatch})
				var (
					values   box[placed]
					pointers box[*placed]
					orders   box[aboutOrder]
					anything box[any]
					raw      box[string]
				)
				must(t, eventbus.On(bus, "values", into(&values), eventbus.HandlerOptions{}))
				must(t, eventbus.On(bus, "pointers", into(&pointers), eventbus.HandlerOptions{}))
				must(t, eventbus.On(bus, "orders", into(&orders), eventbus.HandlerOptions{}))
				must(t, eventbus.On(bus, "anything", into(&anything), eventbus.HandlerOptions{}))
				must(t, eventbus.OnAll(bus, "raw", func(_ context.Context, m eventbus.Message) error {
					raw.add(m.Event.Type + string(m.Event.Data))
					return nil
				}, eventbus.HandlerOptions{}))
				run(t, bus)
				must(t, bus.Publish(t.Context(), placed{"7", 1}, &paid{"7", 5}))
				must(t, bus.Flush(t.Context()))
				must(t, schema.Register[*shipped](w.registry, "order.shipped", schema.Options{})) // later than the bus began
				must(t, bus.Publish(t.Context(), shipped{"7"}))
				must(t, bus.Flush(t.Context()))
				if got := values.all(); !slices.Equal(got, []placed{{"7", 1}}) {
					t.Errorf("values: %v", got)
				}
				if got := pointers.all(); len(got) != 1 || *got[0] != (placed{"7", 1}) {
					t.Errorf("pointers: %v", got)
				}
				if got := orders.all(); !reflect.DeepEqual(got, []aboutOrder{paid{"7", 5}, &shipped{"7"}}) {
					t.Errorf("orders: %v", got)
				}
				if got := anything.all(); len(got) != 3 {
					t.Errorf("anything: %v", got)
				}
				if got := raw.all(); len(got) != 3 || !slices.Contains(got, `order.paid{"order":"7","amount":5}`) {
					t.Errorf("raw: %v", got)
				}
			})
		})
	}
}

func TestEachHandlerGetsEachEventOnceOverAllProcesses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var mails, bills box[placed]
		for range 3 {
			bus := w.bus(t, eventbus.Options{})
			must(t, eventbus.On(bus, "mail", into(&mails), eventbus.HandlerOptions{}))
			must(t, eventbus.On(bus, "bill", into(&bills), eventbus.HandlerOptions{}))
			run(t, bus)
		}
		publisher := w.bus(t, eventbus.Options{})
		synctest.Wait()
		for n := range 100 {
			must(t, publisher.Publish(t.Context(), placed{fmt.Sprint(n % 10), n}))
		}
		synctest.Wait()
		for name, got := range map[string][]placed{"mail": mails.all(), "bill": bills.all()} {
			next := map[string]int{}
			for _, e := range got {
				if e.N != next[e.Order]*10+int(e.Order[0]-'0') {
					t.Errorf("%s: event %+v is out of order", name, e)
				}
				next[e.Order]++
			}
			if len(got) != 100 {
				t.Errorf("%s got %d events, want each of 100 once", name, len(got))
			}
		}
	})
}

func TestMetadataTravelsAndTheEventBecomesTheCause(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{Source: "/shops/1"})
		var (
			messages box[eventbus.Message]
			contexts box[event.Metadata]
		)
		must(t, eventbus.On(bus, "h", func(ctx context.Context, _ placed, m eventbus.Message) error {
			messages.add(m)
			contexts.add(event.MetadataFrom(ctx))
			return nil
		}, eventbus.HandlerOptions{}))
		run(t, bus)
		ctx := event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "c", Actor: "ada", TraceParent: "00-1-2-01", Custom: map[string]string{"a": "b"}})
		id, at := event.NewID(), time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		must(t, bus.Publish(ctx, eventbus.Outgoing{Event: placed{"7", 1}, ID: id, Subject: "order 7", OccurredAt: at}, eventbus.Outgoing{Event: placed{"8", 1}, Key: "other"}))
		must(t, bus.Flush(ctx))
		m := messages.all()[slices.IndexFunc(messages.all(), func(m eventbus.Message) bool { return m.Key == "7" })]
		if m.Event.ID != id || m.ID != id.String() || m.Source != "/shops/1" || m.Subject != "order 7" || m.Topic != "events" || m.Attempt != 1 ||
			!m.Event.OccurredAt.Equal(at) || m.Event.Type != "order.placed" {
			t.Errorf("message %+v", m)
		}
		want := event.Metadata{CorrelationID: "c", CausationID: id.String(), Actor: "ada", TraceParent: "00-1-2-01", Custom: map[string]string{"a": "b"}}
		if got := contexts.all(); !slices.ContainsFunc(got, func(m event.Metadata) bool { return reflect.DeepEqual(m, want) }) {
			t.Errorf("metadata in the handlers' contexts %+v, want one to be %+v", got, want)
		}
		if !slices.ContainsFunc(messages.all(), func(m eventbus.Message) bool { return m.Key == "other" }) {
			t.Error("the key that was given does not come before the event's own")
		}
		must(t, bus.Publish(t.Context(), placed{"9", 1}))
		must(t, bus.Flush(ctx))
		if got := contexts.all()[2]; got.CorrelationID == "" || got.CorrelationID != got.CausationID {
			t.Errorf("without a correlation id an event must begin a conversation: %+v", got)
		}
	})
}

func TestOldVersionsAreUpcast(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		publisher := w.bus(t, eventbus.Options{})
		newer := schema.NewRegistry()
		must(t, schema.Register[placed](newer, "order.placed", schema.Options{Version: 2, Upcasters: []schema.Upcaster{{
			From: 1, Func: func([]byte) ([]byte, error) { return []byte(`{"order":"upcast"}`), nil },
		}}}))
		bus, err := eventbus.New(w.broker, newer, "newer", eventbus.Options{Store: w.store})
		must(t, err)
		var got box[placed]
		must(t, eventbus.On(bus, "h", into(&got), eventbus.HandlerOptions{}))
		run(t, bus)
		synctest.Wait()
		must(t, publisher.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		if got := got.all(); len(got) != 1 || got[0].Order != "upcast" {
			t.Errorf("got %v", got)
		}
	})
}

func TestWhatIsPublishedBeforeRunIsHandled(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var got box[placed]
		must(t, eventbus.On(bus, "h", into(&got), eventbus.HandlerOptions{}))
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		run(t, bus)
		must(t, bus.Flush(t.Context()))
		if len(got.all()) != 1 {
			t.Error("the event was lost")
		}
	})
}

func TestAnEventWithoutHandlerIsFineOrAnError(t *testing.T) {
	w := newWorld(t)
	must(t, w.bus(t, eventbus.Options{}).Publish(t.Context(), placed{"7", 1}))
	strict := w.bus(t, eventbus.Options{RequireHandlers: true})
	var got box[aboutOrder]
	must(t, eventbus.On(strict, "h", into(&got), eventbus.HandlerOptions{}))
	must(t, strict.Publish(t.Context(), paid{"7", 1}))
	if err := strict.Publish(t.Context(), paid{"7", 1}, placed{"7", 1}); !errors.Is(err, eventbus.ErrNoHandler) || !strings.Contains(err.Error(), "order.placed") {
		t.Errorf("got %v, want ErrNoHandler that names the event", err)
	}
	if b, err := w.broker.Backlog(t.Context(), broker.Group{Name: "shop.h", Topics: []string{"events"}}); err != nil || b.Messages != 1 {
		t.Errorf("a call that was refused has published something: %+v (%v)", b, err)
	}
}

func TestRegistrationIsCheckedBeforeTheBusBegins(t *testing.T) {
	type unknown struct{}
	w := newWorld(t)
	ok := func(context.Context, placed, eventbus.Message) error { return nil }
	bus := w.bus(t, eventbus.Options{})
	must(t, eventbus.On(bus, "mail", ok, eventbus.HandlerOptions{}))
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a name twice":      {eventbus.On(bus, "mail", ok, eventbus.HandlerOptions{}), "the name is taken"},
		"an empty name":     {eventbus.On(bus, "", ok, eventbus.HandlerOptions{}), "must not be empty"},
		"a name with dots":  {eventbus.On(bus, "a.b", ok, eventbus.HandlerOptions{}), "of letters, digits"},
		"no function":       {eventbus.On[placed](bus, "x", nil, eventbus.HandlerOptions{}), "the function is nil"},
		"a foreign topic":   {eventbus.On(bus, "x", ok, eventbus.HandlerOptions{Topics: []string{"other"}}), `topic "other"`},
		"a bad retry":       {eventbus.On(bus, "x", ok, eventbus.HandlerOptions{Retry: broker.Retry{Attempts: -1}}), "attempts -1"},
		"marks, no timeout": {eventbus.On(bus, "x", ok, eventbus.HandlerOptions{Timeout: -1, Deduplicate: time.Hour}), "needs a timeout"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || !strings.Contains(c.err.Error(), "handler") {
			t.Errorf("%s: got %v, want %q", name, c.err, c.want)
		}
	}
	if err := eventbus.On(bus, "mail", ok, eventbus.HandlerOptions{}); !errors.Is(err, eventbus.ErrDuplicateHandler) {
		t.Errorf("got %v, want ErrDuplicateHandler", err)
	}
	must(t, eventbus.On(bus, "lost", func(context.Context, unknown, eventbus.Message) error { return nil }, eventbus.HandlerOptions{}))
	for _, err := range []error{bus.Run(t.Context()), bus.Publish(t.Context(), placed{}), bus.Declare(t.Context())} {
		if !errors.Is(err, schema.ErrUnregistered) || !strings.Contains(err.Error(), `"lost"`) || !strings.Contains(err.Error(), "eventbus_test.unknown") {
			t.Errorf("got %v, want ErrUnregistered that names the handler and the type", err)
		}
	}
	if err := eventbus.On(bus, "late", ok, eventbus.HandlerOptions{}); !errors.Is(err, eventbus.ErrLate) {
		t.Errorf("got %v, want ErrLate", err)
	}
	if err := bus.Use(func(next eventbus.Next) eventbus.Next { return next }); !errors.Is(err, eventbus.ErrLate) {
		t.Errorf("got %v, want ErrLate", err)
	}
}

func TestFaultsOfTheOptionsAreReportedTogether(t *testing.T) {
	w := newWorld(t)
	_, err := eventbus.New(w.broker, w.registry, "shop", eventbus.Options{
		StopOnError: true, MaxConcurrentHandlers: -1, MaxQueue: -1, Source: "%zz", Retry: broker.Retry{Attempts: -1},
	})
	for _, want := range []string{"no Store", "StopOnError", "MaxConcurrentHandlers", "MaxQueue", "source", "attempts"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q too", err, want)
		}
	}
	if _, err := eventbus.New(w.broker, w.registry, "a/b", eventbus.Options{Store: w.store}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid for the name", err)
	}
}

func TestMiddlewareWrapsEachCallInTheOrderOfRegistration(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var trace box[string]
		note := func(name string) eventbus.Middleware {
			return func(next eventbus.Next) eventbus.Next {
				return func(ctx context.Context, c eventbus.Call) error {
					trace.add(fmt.Sprintf("%s before %s(%v)", name, c.Handler, c.Event))
					err := next(ctx, c)
					trace.add(fmt.Sprintf("%s after: %v", name, err))
					return err
				}
			}
		}
		must(t, eventbus.On(bus, "h", func(context.Context, placed, eventbus.Message) error { trace.add("handler"); return nil }, eventbus.HandlerOptions{}))
		must(t, bus.Use(note("outer"), note("inner")))
		run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		want := []string{"outer before h({7 1})", "inner before h({7 1})", "handler", "inner after: <nil>", "outer after: <nil>"}
		if got := trace.all(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestABusRunsOnceAtATimeAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bus := w.bus(t, eventbus.Options{})
		var got box[placed]
		must(t, eventbus.On(bus, "h", into(&got), eventbus.HandlerOptions{}))
		stop := run(t, bus)
		synctest.Wait()
		if err := bus.Run(t.Context()); !errors.Is(err, eventbus.ErrRunning) {
			t.Errorf("got %v, want ErrRunning", err)
		}
		if err := stop(); err != nil {
			t.Errorf("a clean stop gave %v", err)
		}
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		run(t, bus)
		must(t, bus.Flush(t.Context()))
		if len(got.all()) != 1 {
			t.Error("what was published in between was not handled")
		}
	})
}

func TestRunEndsWithTheBroker(t *testing.T) {
	w := newWorld(t)
	bus := w.bus(t, eventbus.Options{})
	must(t, eventbus.OnAll(bus, "h", func(context.Context, eventbus.Message) error { return nil }, eventbus.HandlerOptions{}))
	must(t, bus.Declare(t.Context()))
	must(t, bus.Health(t.Context()))
	must(t, w.broker.Close())
	if err := bus.Run(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := bus.Health(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("health: got %v, want ErrClosed", err)
	}
}

type watch struct{ box[observe.Dispatch] }

func (w *watch) OnDispatch(_ context.Context, d observe.Dispatch) { w.add(d) }

func TestHooksSeeEachCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var seen watch
		hooks, err := observe.NewHooks(&seen)
		must(t, err)
		bus := w.bus(t, eventbus.Options{Hooks: hooks})
		failed := false
		must(t, eventbus.On(bus, "h", func(context.Context, placed, eventbus.Message) error {
			if !failed {
				failed = true
				return errors.New("boom")
			}
			return nil
		}, eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Publish(t.Context(), placed{"7", 1}))
		must(t, bus.Flush(t.Context()))
		got := seen.all()
		if len(got) != 2 || got[0].Kind != "event" || got[0].Name != "h" || got[0].Err == nil || got[1].Err != nil {
			t.Errorf("got %+v", got)
		}
	})
}
