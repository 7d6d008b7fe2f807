package promobserve

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events/observe"
)

// brokerMetrics are those of brokers.
type brokerMetrics struct {
	published, deliveries, redeliveries *prometheus.CounterVec
	publishTimes, deliveryTimes         *prometheus.HistogramVec // nil: without
}

func newBrokerMetrics(counter func(name, help string, labels ...string) *prometheus.CounterVec, times func(name, help string) prometheus.HistogramOpts, without bool) brokerMetrics {
	m := brokerMetrics{
		published:    counter("published_messages_total", "Messages that were published to a broker.", "topic", "status"),
		deliveries:   counter("deliveries_total", "Attempts at messages of a broker.", "group", "topic", "outcome"),
		redeliveries: counter("redeliveries_total", "Messages that a broker has delivered again.", "group", "topic"),
	}
	if !without {
		m.publishTimes = prometheus.NewHistogramVec(times("publish_duration_seconds", "How long it took to publish and have it confirmed."), []string{"topic"})
		m.deliveryTimes = prometheus.NewHistogramVec(times("delivery_duration_seconds", "How long attempts at messages of a broker took."), []string{"group", "topic"})
	}
	return m
}

func (m brokerMetrics) collectors() []prometheus.Collector {
	all := []prometheus.Collector{m.published, m.deliveries, m.redeliveries}
	if m.publishTimes != nil {
		all = append(all, m.publishTimes, m.deliveryTimes)
	}
	return all
}

// OnPublish implements observe.PublishHook. All of a call counts for the topic of its first message.
func (m *Observer) OnPublish(_ context.Context, p observe.Publish) {
	m.broker.published.WithLabelValues(p.Topic, "ok").Add(float64(p.Messages - p.Failed))
	if p.Failed > 0 {
		m.broker.published.WithLabelValues(p.Topic, "error").Add(float64(p.Failed))
	}
	if m.broker.publishTimes != nil {
		m.broker.publishTimes.WithLabelValues(p.Topic).Observe(p.Took.Seconds())
	}
}

// OnDelivery implements observe.DeliveryHook.
func (m *Observer) OnDelivery(_ context.Context, d observe.Delivery) {
	m.broker.deliveries.WithLabelValues(d.Group, d.Topic, string(d.Outcome)).Inc()
	if d.Deliveries > 1 && d.Attempt == 1 {
		m.broker.redeliveries.WithLabelValues(d.Group, d.Topic).Inc()
	}
	if m.broker.deliveryTimes != nil {
		m.broker.deliveryTimes.WithLabelValues(d.Group, d.Topic).Observe(d.Took.Seconds())
	}
}
