package monitor

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events/admin"
)

// Collector gives the numbers of a store and a broker to Prometheus, asked for at each scrape:
//
//	events_up{part}                             1 where the store, or the broker, answers
//	events_answer_seconds{part}                 how long that took
//	events_store_head_position                  of the newest event
//	events_feed_lag_events{kind,name}           events that a subscription, projection or relay of the outbox has not handled
//	events_feed_lag_seconds{kind,name}          age of the oldest of those
//	events_feed_state{kind,name,state}          1 for the state that it is in
//	events_dead_letters{source}                 that wait; up to 10,000 are counted
//	events_sagas{saga,status}                   instances that have not ended, or not well
//	events_scrape_errors                        1 where not everything could be found out
type Collector struct {
	o Options

	up, answer, head, lagEvents, lagSeconds, state, letters, sagas, errors *prometheus.Desc
}

// NewCollector makes a collector, for a registry of one's own; Handler has one already.
func NewCollector(o Options) *Collector {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("events_"+name, help, labels, nil)
	}
	return &Collector{
		o:          o,
		up:         desc("up", "Whether the part answers.", "part"),
		answer:     desc("answer_seconds", "How long the part took to answer.", "part"),
		head:       desc("store_head_position", "Position of the newest event."),
		lagEvents:  desc("feed_lag_events", "Events up to the head that were not handled.", "kind", "name"),
		lagSeconds: desc("feed_lag_seconds", "Age of the oldest event that was not handled.", "kind", "name"),
		state:      desc("feed_state", "1 for the state that it is in.", "kind", "name", "state"),
		letters:    desc("dead_letters", "Dead letters that wait.", "source"),
		sagas:      desc("sagas", "Instances that have not ended, or not well.", "saga", "status"),
		errors:     desc("scrape_errors", "Whether not everything could be found out."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.answer, c.head, c.lagEvents, c.lagSeconds, c.state, c.letters, c.sagas, c.errors} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	failed := 0.0
	for _, p := range c.o.ask(context.Background()).Parts {
		up := 0.0
		if p.OK {
			up = 1
		}
		gauge(c.up, up, p.Name)
		gauge(c.answer, p.Seconds, p.Name)
		if p.Name == "store" && p.OK {
			if !c.work(gauge) {
				failed = 1
			}
		}
	}
	gauge(c.errors, failed)
}

// work tells of what lives on the store. It reports false where something could not be found out.
func (c *Collector) work(gauge func(d *prometheus.Desc, value float64, labels ...string)) bool {
	ctx, cancel := context.WithTimeout(context.Background(), c.o.Timeout)
	defer cancel()
	v, err := admin.New(c.o.Store).Vitals(ctx)
	gauge(c.head, float64(v.Head))
	for _, f := range v.Feeds {
		gauge(c.lagEvents, float64(f.Lag), f.Kind, f.Name)
		gauge(c.lagSeconds, f.LagTime.Seconds(), f.Kind, f.Name)
		gauge(c.state, 1, f.Kind, f.Name, f.State)
	}
	for source, n := range v.DeadLetters {
		gauge(c.letters, float64(n), source)
	}
	for _, s := range v.Sagas {
		gauge(c.sagas, float64(s.Count), s.Saga, string(s.Status))
	}
	return err == nil
}
