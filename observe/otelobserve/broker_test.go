package otelobserve_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/observe"
)

func TestPublishingAndAttemptsAreSpansOfTheTraceTheyRunIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, spans := recorder()
		hooks, err := observe.NewHooks(tracer)
		must(t, err)
		b := broker.New(membroker.New(membroker.Options{}), broker.Options{Hooks: hooks})
		defer func() { must(t, b.Close()) }()
		g := broker.Group{Name: "billing", Topics: []string{"orders"}}
		must(t, b.Declare(t.Context(), g))
		must(t, b.Publish(t.Context(), broker.Message{ID: "0", Topic: "orders"})) // in no trace
		ctx, root := sdktrace.NewTracerProvider().Tracer("test").Start(t.Context(), "root")
		must(t, b.Publish(ctx, broker.Message{ID: "1", Topic: "orders"}))
		c, err := broker.NewConsumer(b, g, func(_ context.Context, d broker.Delivery) error {
			if d.ID == "1" {
				return broker.Permanent(errors.New("boom"))
			}
			return nil
		}, broker.ConsumerOptions{OnError: func(error) {}, DeadLetter: func(context.Context, broker.Delivery, error) error { return nil }})
		must(t, err)
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		<-time.After(time.Minute)
		stop()
		must(t, <-ended)
		published := named(t, spans, "publish orders")
		if published.SpanKind() != trace.SpanKindProducer || published.Parent().SpanID() != root.SpanContext().SpanID() {
			t.Errorf("%v of %v", published.SpanKind(), published.Parent())
		}
		attempts, failed := 0, 0
		for _, s := range spans.Ended() {
			if s.Name() == "attempt orders" && s.SpanKind() == trace.SpanKindConsumer && s.Parent().TraceID() == root.SpanContext().TraceID() {
				attempts++
				if s.Status().Code == codes.Error {
					failed++
				}
			}
		}
		if attempts != 2 || failed != 1 {
			t.Errorf("%d attempts, %d of them failed, want 2 and 1", attempts, failed)
		}
	})
}
