package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/store"
)

// Options say what is watched. At least one of Store and Broker should be there.
type Options struct {
	Store  *store.Store   // nil: none
	Broker *broker.Broker // nil: none

	// Timeout bounds the answer to a request. Defaults to 5 s.
	Timeout time.Duration

	// More gathers further metrics, such as the registry that promobserve counts in. Defaults to none.
	More prometheus.Gatherer
}

// Handler gives the pages:
//
//	/healthz  200 as long as the process answers
//	/readyz   200 where the store and the broker answer, else 503; which does not, as JSON
//	/metrics  for Prometheus; see Collector
//
// It owns neither store nor broker. It is safe for concurrent use.
func Handler(o Options) http.Handler {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(o), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gatherers := prometheus.Gatherers{registry}
	if o.More != nil {
		gatherers = append(gatherers, o.More)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		readiness := o.ask(r.Context())
		status := http.StatusOK
		if !readiness.Ready {
			status = http.StatusServiceUnavailable
		}
		write(w, status, readiness)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	return mux
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready bool   `json:"ready"`
	Parts []Part `json:"parts"`
}

// Part is the store or the broker.
type Part struct {
	Name    string  `json:"name"` // "store", "broker"
	OK      bool    `json:"ok"`
	What    string  `json:"what,omitempty"` // "postgres 15.14 at host/database"; never a password
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds"` // that it took to answer
}

// ask asks store and broker, both at once.
func (o Options) ask(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var questions []func() Part
	if o.Store != nil {
		questions = append(questions, func() Part {
			return timed("store", func() (string, error) {
				d, err := o.Store.Describe(ctx)
				return d.Backend + " " + d.Version + " at " + d.Location, err
			})
		})
	}
	if o.Broker != nil {
		questions = append(questions, func() Part {
			return timed("broker", func() (string, error) {
				d, err := o.Broker.Describe(ctx)
				return d.Broker + " " + d.Version + " at " + d.Location, err
			})
		})
	}
	r := Readiness{Ready: true, Parts: make([]Part, len(questions))}
	var asking sync.WaitGroup
	for i, question := range questions {
		asking.Go(func() { r.Parts[i] = question() })
	}
	asking.Wait()
	for _, p := range r.Parts {
		r.Ready = r.Ready && p.OK
	}
	return r
}

func timed(name string, question func() (string, error)) Part {
	begun := time.Now()
	what, err := question()
	p := Part{Name: name, OK: err == nil, Seconds: time.Since(begun).Seconds()}
	if err != nil {
		p.Error = err.Error()
	} else {
		p.What = what
	}
	return p
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client has gone
}
