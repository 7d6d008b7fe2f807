package promobserve_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/observe/promobserve"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type pay struct{ fail error }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compare compares the metrics of these names, in Prometheus' text format without help and type.
func compare(t *testing.T, r *prometheus.Registry, want string, names ...string) {
	t.Helper()
	families, err := r.Gather()
	must(t, err)
	var kept []string
	for _, family := range families {
		for _, name := range names {
			if family.GetName() == name {
				kept = append(kept, fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n", name, family.GetHelp(), name, strings.ToLower(family.GetType().String())))
			}
		}
	}
	if len(kept) != len(names) {
		t.Fatalf("there are %q of %q", kept, names)
	}
	var text strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(want), "\n\n") {
		text.WriteString(kept[i] + block + "\n")
	}
	if err := testutil.GatherAndCompare(r, strings.NewReader(text.String()), names...); err != nil {
		t.Error(err)
	}
}

func TestCommandsAreCountedByOutcomeAndTimed(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m, err := promobserve.New(r, promobserve.Options{Prefix: "shop", Buckets: []float64{60}})
	must(t, err)
	hooks, err := observe.NewHooks(m)
	must(t, err)
	bus := command.NewBus(command.Options{Hooks: hooks})
	must(t, bus.Use(middleware.Commands(m.Step())))
	must(t, command.Handle(bus, func(_ context.Context, p pay) (command.None, error) {
		compare(t, r, `shop_active_executions{kind="command",name="promobserve_test.pay"} 1`, "shop_active_executions")
		return command.None{}, p.fail
	}))
	for _, fail := range []error{nil, nil, fmt.Errorf("append: %w", store.ErrConflict), errors.New("no cover"), context.DeadlineExceeded} {
		_, _ = bus.Dispatch(t.Context(), pay{fail})
	}
	compare(t, r, `
shop_active_executions{kind="command",name="promobserve_test.pay"} 0

shop_executions_total{error="",kind="command",name="promobserve_test.pay",status="ok"} 2
shop_executions_total{error="conflict",kind="command",name="promobserve_test.pay",status="error"} 1
shop_executions_total{error="other",kind="command",name="promobserve_test.pay",status="error"} 1
shop_executions_total{error="timeout",kind="command",name="promobserve_test.pay",status="error"} 1
`, "shop_active_executions", "shop_executions_total")
	if n, err := testutil.GatherAndCount(r, "shop_duration_seconds"); n != 1 || err != nil {
		t.Errorf("%d series of durations, %v", n, err)
	}
}

func TestTheStoreIsCounted(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m, err := promobserve.New(r, promobserve.Options{})
	must(t, err)
	hooks, err := observe.NewHooks(m)
	must(t, err)
	s := store.New(memstore.New(memstore.Options{}), store.Options{Hooks: hooks})
	stream, err := event.NewStreamID("order", "7")
	must(t, err)
	e := event.Pending{ID: event.NewID(), Type: "order.placed", Data: []byte("{}")}
	for range 2 { // the second is a duplicate
		_, err = s.Append(t.Context(), stream, store.NoStream(), e)
		must(t, err)
	}
	if _, err := s.Append(t.Context(), stream, store.NoStream(), event.Pending{Type: "order.placed", Data: []byte("{}")}); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	for _, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		must(t, err)
	}
	compare(t, r, `
events_append_events_total 1

events_appends_total{error="",status="ok"} 2
events_appends_total{error="conflict",status="error"} 1

events_read_events_total{scope="log"} 1

events_reads_total{error="",scope="log",status="ok"} 1
`, "events_append_events_total", "events_appends_total", "events_read_events_total", "events_reads_total")
}

func TestEventsOfAnotherReleaseAreCountedByConsumerAndReason(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m, err := promobserve.New(r, promobserve.Options{})
	must(t, err)
	hooks, err := observe.NewHooks(m)
	must(t, err)
	for _, reason := range []string{"unknown_type", "newer_version", "newer_version"} {
		hooks.Skew(t.Context(), observe.Skew{Consumer: "projection/orders/1", Reason: reason, Type: "order.placed", Parked: true})
	}
	quiet := hooks.WithoutSkewAlerts()
	quiet.Skew(t.Context(), observe.Skew{Consumer: "projection/orders/1", Reason: "unknown_type", Type: "order.placed"})
	compare(t, r, `
events_version_skews_total{consumer="projection/orders/1",reason="newer_version",type="order.placed"} 2
events_version_skews_total{consumer="projection/orders/1",reason="unknown_type",type="order.placed"} 1
`, "events_version_skews_total")
}

func TestWithoutHistogramsThereAreNone(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m, err := promobserve.New(r, promobserve.Options{WithoutHistograms: true})
	must(t, err)
	m.OnDispatch(t.Context(), observe.Dispatch{Kind: "query", Name: "x", Took: time.Second})
	m.OnAppend(t.Context(), observe.Append{})
	m.OnRead(t.Context(), observe.Read{})
	families, err := r.Gather()
	must(t, err)
	for _, family := range families {
		if strings.HasSuffix(family.GetName(), "_seconds") {
			t.Errorf("there is %s", family.GetName())
		}
	}
}

func TestANameThatIsTakenIsRefusedAndNothingStays(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	taken := prometheus.NewCounter(prometheus.CounterOpts{Name: "events_reads_total", Help: "x"})
	must(t, r.Register(taken))
	if _, err := promobserve.New(r, promobserve.Options{}); err == nil || !strings.Contains(err.Error(), `prefix "events"`) {
		t.Errorf("got %v", err)
	}
	if families, err := r.Gather(); err != nil || len(families) != 1 {
		t.Errorf("there are %v (%v)", families, err)
	}
}

func Example() {
	registry := prometheus.NewRegistry()
	metrics, err := promobserve.New(registry, promobserve.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	hooks, err := observe.NewHooks(metrics)
	if err != nil {
		fmt.Println(err)
		return
	}
	bus := command.NewBus(command.Options{Hooks: hooks})
	if err := command.Handle(bus, func(context.Context, pay) (command.None, error) { return command.None{}, nil }); err != nil {
		fmt.Println(err)
		return
	}
	_, err = bus.Dispatch(context.Background(), pay{})
	n, _ := testutil.GatherAndCount(registry, "events_executions_total")
	fmt.Println(n, err)
	// Output: 1 <nil>
}
