package eventbus_test

import (
	"context"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/schema"
)

// BenchmarkPublishToHandler measures from Publish to the handler over the memory broker, one event per call.
func BenchmarkPublishToHandler(b *testing.B) {
	registry := schema.NewRegistry()
	if err := schema.Register[paid](registry, "order.paid", schema.Options{}); err != nil {
		b.Fatal(err)
	}
	bus, err := eventbus.New(broker.New(membroker.New(membroker.Options{}), broker.Options{}), registry, "bench", eventbus.Options{DropFailed: true})
	if err != nil {
		b.Fatal(err)
	}
	var handled, sent atomic.Int64
	sent.Store(-1)
	done := make(chan struct{}, 1)
	if err := eventbus.On(bus, "h", func(context.Context, paid, eventbus.Message) error {
		if handled.Add(1) == sent.Load() {
			done <- struct{}{}
		}
		return nil
	}, eventbus.HandlerOptions{}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- bus.Run(ctx) }()
	b.ReportAllocs()
	count := int64(0)
	for b.Loop() {
		if err := bus.Publish(ctx, paid{"7", 1}); err != nil {
			b.Fatal(err)
		}
		count++
	}
	sent.Store(count)
	if handled.Load() < count {
		<-done
	}
	b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "events/s")
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
