package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
)

// bulk was split into several placed.
type bulk struct {
	Order string `json:"order"`
	Ns    []int  `json:"ns"`
}

func (b bulk) EventKey() string { return b.Order }

// newer is placed as the next release has it.
type newer struct {
	Order string `json:"order"`
	N     int64  `json:"n"`
}

func (n newer) EventKey() string { return n.Order }

type alarms struct {
	mu   sync.Mutex
	told []observe.Skew
}

func (a *alarms) OnSkew(_ context.Context, s observe.Skew) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, s)
}

func TestTheOldReleaseParksNewerMessagesWithTheirKeyAndTheNewOneHandlesThemInOrder(t *testing.T) {
	for _, dispatch := range []eventbus.Dispatch{eventbus.Parallel, eventbus.Sequential} {
		t.Run(fmt.Sprint(dispatch), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var heard alarms
				hooks, err := observe.NewHooks(&heard)
				must(t, err)
				var before box[placed]
				old := w.bus(t, eventbus.Options{Hooks: hooks, Dispatch: dispatch})
				must(t, eventbus.On(old, "h", into(&before), eventbus.HandlerOptions{}))
				stop := run(t, old)
				must(t, old.Declare(t.Context()))

				next := &world{broker: w.broker, store: w.store, letters: w.letters, registry: schema.NewRegistry()}
				same := schema.Upcaster{From: 1, Func: func(data []byte) ([]byte, error) { return data, nil }}
				must(t, schema.Register[newer](next.registry, "order.placed", schema.Options{Version: 2, Upcasters: []schema.Upcaster{same}}))
				published := next.bus(t, eventbus.Options{Dispatch: dispatch})
				var after box[newer]
				must(t, eventbus.On(published, "h", into(&after), eventbus.HandlerOptions{}))

				must(t, old.Publish(t.Context(), placed{"7", 1}))
				must(t, published.Publish(t.Context(), newer{"7", 2}))
				must(t, old.Publish(t.Context(), placed{"7", 3}, placed{"8", 1}))
				must(t, old.Flush(t.Context()))
				if got := fmt.Sprint(before.all()); got != "[{7 1} {8 1}]" && got != "[{8 1} {7 1}]" {
					t.Errorf("the old release handled %s, want all but what waits", got)
				}
				if len(heard.told) != 1 || heard.told[0].Reason != string(schema.NewerVersion) || heard.told[0].SchemaVersion != 2 || !heard.told[0].Parked {
					t.Errorf("alarms: %+v", heard.told)
				}
				if n := len(w.deadLetters(t, "")); n != 2 {
					t.Errorf("%d letters, want 2", n)
				}
				must(t, stop())

				run(t, published) // which reads them
				must(t, published.Publish(t.Context(), newer{"7", 4}))
				sleep(5 * time.Second)
				if got := fmt.Sprint(after.all()); got != "[{7 2} {7 3} {7 4}]" {
					t.Errorf("the new release handled %s", got)
				}
				if letters := w.deadLetters(t, ""); len(letters) != 0 {
					t.Errorf("letters are left: %+v", letters)
				}
			})
		})
	}
}

func TestAHandlerGetsAllValuesThatAMessageIsReadAs(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		sender := &world{broker: w.broker, store: w.store, letters: w.letters, registry: schema.NewRegistry()}
		must(t, schema.Register[bulk](sender.registry, "order.bulk", schema.Options{}))
		split := func(b bulk) (parts []any, err error) {
			for _, n := range b.Ns {
				if n < 0 {
					return nil, errors.New("negative")
				}
				parts = append(parts, placed{b.Order, n})
			}
			return append(parts, paid{b.Order, 9}), nil
		}
		must(t, schema.Split(w.registry, "order.bulk", schema.Options{}, split, schema.Into[placed](), schema.Into[paid]()))
		var (
			events box[placed]
			orders box[aboutOrder]
		)
		bus := w.bus(t, eventbus.Options{})
		must(t, eventbus.On(bus, "placed", into(&events), eventbus.HandlerOptions{}))
		must(t, eventbus.On(bus, "orders", into(&orders), eventbus.HandlerOptions{}))
		run(t, bus)
		must(t, bus.Declare(t.Context()))
		must(t, sender.bus(t, eventbus.Options{}).Publish(t.Context(), bulk{"7", []int{1, 2}}))
		must(t, bus.Flush(t.Context()))
		if got := fmt.Sprint(events.all(), orders.all()); got != "[{7 1} {7 2}] [{7 9}]" {
			t.Errorf("got %s", got)
		}
	})
}
