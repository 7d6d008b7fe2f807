package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

type counted struct {
	N int `json:"n"`
}

type renamed struct {
	N int `json:"n"`
}

// oldRelease knows counted in version 1; newRelease knows version 2 and a type more.
func oldRelease(t *testing.T) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	if err := schema.Register[counted](r, "counted", schema.Options{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func newRelease(t *testing.T) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	same := schema.Upcaster{From: 1, Func: func(data []byte) ([]byte, error) { return data, nil }}
	err := errors.Join(schema.Register[counted](r, "counted", schema.Options{Version: 2, Upcasters: []schema.Upcaster{same}}),
		schema.Register[renamed](r, "renamed", schema.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// alarms collects the alerts.
type alarms struct {
	mu   sync.Mutex
	told []observe.Skew
}

func (a *alarms) OnSkew(_ context.Context, s observe.Skew) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, s)
}

func (a *alarms) all() []observe.Skew {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.told)
}

// reading gives a handler of a release: it decodes, and then takes the event down.
func reading(r *schema.Registry, j *journal) subscription.Handler {
	return func(ctx context.Context, e event.Recorded) error {
		if _, err := r.DecodeAll(&e); err != nil {
			return err
		}
		return j.Handle(ctx, e)
	}
}

func versioned(t *testing.T, s *store.Store, stream event.StreamID, typeName string, version int) event.Position {
	t.Helper()
	result, err := s.Append(t.Context(), stream, store.Any(), event.Pending{
		Type: typeName, SchemaVersion: version, Data: []byte(`{"n":1}`), Metadata: event.Metadata{Tenant: "acme"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return result.Last
}

func TestInARollingUpgradeTheOldReleaseParksWhatItCannotReadAndTheNewOneResumesIt(t *testing.T) {
	everystore.Main(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		letters := deadletter.New(s, deadletter.Options{})
		var heard alarms
		hooks, err := observe.NewHooks(&heard)
		if err != nil {
			t.Fatal(err)
		}
		o := quick(t)
		o.DeadLetters, o.Hooks, o.Partitions = letters, hooks, 2
		versioned(t, s, "a-1", "counted", 1)
		versioned(t, s, "a-2", "counted", 1)
		versioned(t, s, "a-1", "counted", 2) // of the new release
		versioned(t, s, "a-1", "counted", 1) // of the old one, in the same stream: must wait
		versioned(t, s, "a-2", "counted", 1)
		versioned(t, s, "a-3", "renamed", 1)
		last := versioned(t, s, "a-3", "counted", 1)

		var before journal
		old := start(t, newSubscription(t, s, "reader", reading(oldRelease(t), &before), o))
		mustReach(t, old.Subscription, last)
		if n := before.count(); n != 3 {
			t.Errorf("the old release handled %d events, want the 3 that are free: %s", n, before.types())
		}
		told := heard.all()
		slices.SortFunc(told, func(a, b observe.Skew) int { return int(a.Position - b.Position) })
		if len(told) != 2 || told[0].Reason != string(schema.NewerVersion) || told[0].Type != "counted" || told[0].SchemaVersion != 2 || told[0].Tenant != "acme" ||
			told[0].Stream != "a-1" || !told[0].Parked || told[0].Consumer != "subscription/reader" || told[1].Reason != string(schema.UnknownType) || told[1].Type != "renamed" {
			t.Errorf("alarms: %+v", told)
		}
		eventually(t, "the status tells of 2 that are parked, and stands at the end", func() bool {
			st := status(t, s, "reader")
			return st.Skewed == 2 && st.Position == last
		})
		states := map[deadletter.State]int{}
		for letter, err := range letters.List(t.Context(), deadletter.Filter{Source: "subscription/reader"}) {
			if err != nil {
				t.Fatal(err)
			}
			states[letter.State]++
		}
		if states[deadletter.StateParked] != 2 || states[deadletter.StateWaiting] != 2 {
			t.Errorf("letters: %v, want 2 parked and 2 that wait behind", states)
		}
		// Another start of the old release changes nothing, and drops nothing.
		if err := old.end(); err != nil {
			t.Fatal(err)
		}
		again := start(t, newSubscription(t, s, "reader", reading(oldRelease(t), &before), o))
		later := versioned(t, s, "a-1", "counted", 1)
		mustReach(t, again.Subscription, later)
		eventually(t, "the retries have failed", func() bool {
			tried := 0
			for letter, err := range letters.List(t.Context(), deadletter.Filter{Source: "subscription/reader", Reason: deadletter.Skew}) {
				if err == nil && letter.Attempts == 2 && letter.State == deadletter.StateParked {
					tried++
				}
			}
			return tried == 2
		})
		if err := again.end(); err != nil {
			t.Fatal(err)
		}
		// The new release reads them, each stream in its order.
		var after journal
		start(t, newSubscription(t, s, "reader", reading(newRelease(t), &after), o))
		eventually(t, "all letters are handled", func() bool {
			n, err := letters.Count(t.Context(), deadletter.Filter{Source: "subscription/reader"})
			return err == nil && n == 0 && after.count() >= 5
		})
		got := map[event.StreamID][]event.Version{}
		for _, e := range after.events {
			got[e.Stream] = append(got[e.Stream], e.Version)
		}
		if fmt.Sprint(got["a-1"], got["a-3"]) != "[2 3 4] [1 2]" {
			t.Errorf("handled %v, want versions 2 to 4 of a-1, and 1 and 2 of a-3", got)
		}
		if st := status(t, s, "reader"); st.Skewed != 0 {
			t.Errorf("status: %d parked by skew still", st.Skewed)
		}
		if n := len(heard.all()); n != 2 {
			t.Errorf("%d alarms in all, want one for each event", n)
		}
	})
}

func TestWithoutDeadLettersSkewStopsTheSubscriptionAtOnce(t *testing.T) {
	s := memory(t)
	var heard alarms
	o := quick(t)
	o.Hooks, _ = observe.NewHooks(&heard)
	o.Retry.Attempts = 1000 // which are not made
	versioned(t, s, "a-1", "counted", 1)
	bad := versioned(t, s, "a-1", "counted", 9)
	var j journal
	m := start(t, newSubscription(t, s, "reader", reading(oldRelease(t), &j), o))
	var fault *subscription.FaultError
	if err := m.wait(); !errors.As(err, &fault) || fault.Position != bad || !errors.Is(err, schema.ErrNewer) || fault.Attempts != 1 {
		t.Errorf("got %v", err)
	}
	if told := heard.all(); len(told) != 1 || told[0].Parked {
		t.Errorf("alarms: %+v", told)
	}
}

func TestAKnownSetKeepsOtherEventsFromTheHandlerAndTheFilterThoseThatItNeverAskedFor(t *testing.T) {
	s := memory(t)
	var heard alarms
	o := quick(t)
	hooks, _ := observe.NewHooks(&heard)
	o.Hooks = hooks.WithoutSkewAlerts()
	o.DeadLetters = deadletter.New(s, deadletter.Options{})
	o.Known = schema.Known{"counted": 1}
	o.Filter = store.Filter{Categories: []string{"a"}}
	versioned(t, s, "a-1", "counted", 1)
	versioned(t, s, "b-1", "stranger", 1)
	versioned(t, s, "a-2", "counted", 2)
	versioned(t, s, "a-3", "stranger", 1)
	last := versioned(t, s, "a-4", "counted", 1)
	var j journal
	m := start(t, newSubscription(t, s, "reader", subscription.Handler(j.Handle), o))
	mustReach(t, m.Subscription, last)
	if j.count() != 2 {
		t.Errorf("handled %s", j.types())
	}
	if n, err := o.DeadLetters.Count(t.Context(), deadletter.Filter{Reason: deadletter.Skew}); err != nil || n != 2 {
		t.Errorf("%d letters (%v), want 2: the other category was not asked for", n, err)
	}
	if len(heard.all()) != 0 {
		t.Error("alerts were switched off")
	}
}

func TestASkewPolicyThatWouldLoseOrderOrEventsIsRefused(t *testing.T) {
	s := memory(t)
	for _, o := range []subscription.Options{{Skew: subscription.FailurePark}, {Skew: subscription.FailureParkStream}, {Skew: 9}} {
		if _, err := subscription.New(s, "x", subscription.Handler(func(context.Context, event.Recorded) error { return nil }), o); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("policy %d: got %v", o.Skew, err)
		}
	}
}
