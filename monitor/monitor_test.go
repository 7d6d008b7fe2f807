package monitor_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/monitor"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// page asks the handler for a page.
func page(t *testing.T, h http.Handler, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func newStore(t *testing.T) *store.Store {
	t.Helper()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Append(t.Context(), "order-1", store.Any(), event.Pending{Type: "order.placed", Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadinessFollowsStoreAndBroker(t *testing.T) {
	s, b := newStore(t), broker.New(membroker.New(membroker.Options{}), broker.Options{})
	h := monitor.Handler(monitor.Options{Store: s, Broker: b})
	if status, body := page(t, h, "/readyz"); status != http.StatusOK || !strings.Contains(body, "memory") {
		t.Errorf("got %d, %s", status, body)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	status, body := page(t, h, "/readyz")
	var r monitor.Readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	if status != http.StatusServiceUnavailable || r.Ready || len(r.Parts) != 2 || !r.Parts[0].OK || r.Parts[1].OK || r.Parts[1].Error == "" {
		t.Errorf("got %d, %+v", status, r)
	}
	if status, _ := page(t, h, "/healthz"); status != http.StatusOK {
		t.Errorf("the process is said to be dead: %d", status)
	}
	if status, _ := page(t, h, "/else"); status != http.StatusNotFound {
		t.Errorf("got %d", status)
	}
}

func TestMetricsTellOfTheStoreAndOfWhatLivesOnIt(t *testing.T) {
	s := newStore(t)
	letter := deadletter.Letter{Source: "eventbus/billing", Message: &deadletter.Message{ID: "1", Topic: "orders"}, Error: "boom"}
	if err := deadletter.New(s, deadletter.Options{}).ParkNow(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	own := prometheus.NewRegistry()
	own.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "own_total", Help: "x"}))
	h := monitor.Handler(monitor.Options{Store: s, More: own})
	status, body := page(t, h, "/metrics")
	for _, line := range []string{
		`events_up{part="store"} 1`, `events_store_head_position 1`, `events_dead_letters{source="eventbus/billing"} 1`, `events_scrape_errors 0`, `own_total 0`, `go_goroutines `,
	} {
		if status != http.StatusOK || !strings.Contains(body, "\n"+line) {
			t.Errorf("%q is missing in:\n%s", line, body)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if status, body := page(t, h, "/metrics"); status != http.StatusOK || !strings.Contains(body, `events_up{part="store"} 0`) {
		t.Errorf("got %d, %s", status, body)
	}
}

func Example() {
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer s.Close()
	mux := http.NewServeMux()
	mux.Handle("/internal/", http.StripPrefix("/internal", monitor.Handler(monitor.Options{Store: s})))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/internal/readyz", nil))
	fmt.Println(w.Code)
	// Output: 200
}
