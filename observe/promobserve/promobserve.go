// Package promobserve counts and times what the engine does, as Prometheus metrics: appends, reads, commands, queries and
// handled events, and what goes to a broker and comes from it. It joins package observe and prometheus/client_golang.
package promobserve

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/store"
)

// Options are the settings of an Observer; the zero value works.
type Options struct {
	// Prefix begins the names of all metrics. Defaults to "events".
	Prefix string

	// WithoutHistograms leaves the durations out; counters stay. Defaults to false.
	WithoutHistograms bool

	// Buckets are the upper bounds of the durations, in seconds. Default to 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 and 10.
	Buckets []float64
}

// Observer is a hook for observe.NewHooks, and its Step a piece of middleware. It is safe for concurrent use. Its metrics,
// with the prefix in front:
//
//	executions_total{kind,name,status,error}    commands, queries and handled events; status is ok or error, error its kind
//	duration_seconds{kind,name}                 how long they took
//	active_executions{kind,name}                that run now; where Step is in use
//	appends_total{status,error}, append_events_total, append_duration_seconds
//	reads_total{scope,status,error}, read_events_total{scope}, read_duration_seconds{scope}; scope is stream or log
//	published_messages_total{topic,status}, publish_duration_seconds{topic}   status is ok, or error: not confirmed
//	deliveries_total{group,topic,outcome}, delivery_duration_seconds{group,topic}   attempts at messages; outcome is an observe.Outcome
//	redeliveries_total{group,topic}             first attempts at messages that the broker had given out before
//	version_skews_total{consumer,reason,type}   events of another release that this program cannot read; reason is unknown_type or newer_version
type Observer struct {
	executions     *prometheus.CounterVec
	durations      *prometheus.HistogramVec // this and the others are nil without histograms
	active         *prometheus.GaugeVec
	appends, reads *prometheus.CounterVec
	appended       prometheus.Counter
	read           *prometheus.CounterVec
	appendTimes    prometheus.Histogram
	readTimes      *prometheus.HistogramVec
	broker         brokerMetrics
	skews          *prometheus.CounterVec
}

// New makes an observer and registers its metrics. A name that is taken, or is none for Prometheus, is an error.
func New(r prometheus.Registerer, o Options) (*Observer, error) {
	if o.Prefix == "" {
		o.Prefix = "events"
	}
	if o.Buckets == nil {
		o.Buckets = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10}
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: o.Prefix, Name: name, Help: help}, labels)
	}
	times := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: o.Prefix, Name: name, Help: help, Buckets: o.Buckets}
	}
	m := &Observer{
		executions: counter("executions_total", "Commands, queries and handled events.", "kind", "name", "status", "error"),
		active:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: o.Prefix, Name: "active_executions", Help: "Commands, queries and events that are being handled."}, []string{"kind", "name"}),
		appends:    counter("appends_total", "Appends to the store.", "status", "error"),
		appended:   prometheus.NewCounter(prometheus.CounterOpts{Namespace: o.Prefix, Name: "append_events_total", Help: "Events that were stored."}),
		reads:      counter("reads_total", "Reads of streams and of the log.", "scope", "status", "error"),
		read:       counter("read_events_total", "Events that were read.", "scope"),
		skews:      counter("version_skews_total", "Events of another release that this program cannot read.", "consumer", "reason", "type"),
	}
	all := []prometheus.Collector{m.executions, m.active, m.appends, m.appended, m.reads, m.read, m.skews}
	if !o.WithoutHistograms {
		m.durations = prometheus.NewHistogramVec(times("duration_seconds", "How long commands, queries and events took to handle."), []string{"kind", "name"})
		m.appendTimes = prometheus.NewHistogram(times("append_duration_seconds", "How long appends took."))
		m.readTimes = prometheus.NewHistogramVec(times("read_duration_seconds", "How long reads took."), []string{"scope"})
		all = append(all, m.durations, m.appendTimes, m.readTimes)
	}
	m.broker = newBrokerMetrics(counter, times, o.WithoutHistograms)
	all = append(all, m.broker.collectors()...)
	for i, c := range all {
		if err := r.Register(c); err != nil {
			for _, registered := range all[:i] {
				r.Unregister(registered)
			}
			return nil, fmt.Errorf("metrics with the prefix %q: %w", o.Prefix, err)
		}
	}
	return m, nil
}

// OnDispatch implements observe.DispatchHook.
func (m *Observer) OnDispatch(_ context.Context, d observe.Dispatch) {
	status, kind := outcome(d.Err)
	m.executions.WithLabelValues(d.Kind, d.Name, status, kind).Inc()
	if m.durations != nil {
		m.durations.WithLabelValues(d.Kind, d.Name).Observe(d.Took.Seconds())
	}
}

// OnAppend implements observe.AppendHook. A duplicate has stored nothing.
func (m *Observer) OnAppend(_ context.Context, a observe.Append) {
	m.appends.WithLabelValues(outcome(a.Err)).Inc()
	if a.Err == nil && !a.Duplicate {
		m.appended.Add(float64(a.Events))
	}
	if m.appendTimes != nil {
		m.appendTimes.Observe(a.Took.Seconds())
	}
}

// OnRead implements observe.ReadHook.
func (m *Observer) OnRead(_ context.Context, r observe.Read) {
	scope := "stream"
	if r.Stream == "" {
		scope = "log"
	}
	status, kind := outcome(r.Err)
	m.reads.WithLabelValues(scope, status, kind).Inc()
	m.read.WithLabelValues(scope).Add(float64(r.Events))
	if m.readTimes != nil {
		m.readTimes.WithLabelValues(scope).Observe(r.Took.Seconds())
	}
}

// OnSkew implements observe.SkewHook. Alert on any increase: the events wait until this program is replaced.
func (m *Observer) OnSkew(_ context.Context, s observe.Skew) {
	m.skews.WithLabelValues(s.Consumer, s.Reason, s.Type).Inc()
}

// Step counts what is being handled now, attempt by attempt. For the rest, give the observer to the bus as a hook.
func (m *Observer) Step() middleware.Step {
	return func(ctx context.Context, c middleware.Call, next middleware.Next) error {
		name := c.Name()
		if handler := c.Handler(); handler != "" {
			name = handler // as the hooks call it
		}
		gauge := m.active.WithLabelValues(string(c.Kind()), name)
		gauge.Inc()
		defer gauge.Dec()
		return next(ctx)
	}
}

// outcome is the status of an error, and its kind: few, so that the number of series stays bounded.
func outcome(err error) (status, kind string) {
	if err == nil {
		return "ok", ""
	}
	for _, k := range [...]struct {
		err  error
		name string
	}{
		{store.ErrConflict, "conflict"},
		{store.ErrUnavailable, "unavailable"},
		{broker.ErrUnavailable, "unavailable"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
		{store.ErrTooLarge, "invalid"},
		{store.ErrInvalid, "invalid"},
		{middleware.ErrInvalid, "invalid"},
		{middleware.ErrForbidden, "forbidden"},
		{store.ErrNotFound, "not_found"},
	} {
		if errors.Is(err, k.err) {
			return "error", k.name
		}
	}
	return "error", "other"
}
