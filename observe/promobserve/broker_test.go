package promobserve_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/observe/promobserve"
)

func TestWhatGoesThroughABrokerIsCountedByTopicAndOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prometheus.NewPedanticRegistry()
		m, err := promobserve.New(r, promobserve.Options{Prefix: "shop", WithoutHistograms: true})
		must(t, err)
		hooks, err := observe.NewHooks(m)
		must(t, err)
		b := broker.New(membroker.New(membroker.Options{}), broker.Options{Hooks: hooks})
		defer func() { must(t, b.Close()) }()
		g := broker.Group{Name: "billing", Topics: []string{"orders"}}
		must(t, b.Declare(t.Context(), g))
		must(t, b.Publish(t.Context(), broker.Message{ID: "good", Topic: "orders"}, broker.Message{ID: "bad", Topic: "orders"}))
		if err := b.Publish(t.Context(), broker.Message{Topic: "orders"}); !errors.Is(err, broker.ErrInvalid) {
			t.Fatalf("got %v", err)
		}
		c, err := broker.NewConsumer(b, g, func(_ context.Context, d broker.Delivery) error {
			if d.ID == "bad" {
				return errors.New("boom")
			}
			return nil
		}, broker.ConsumerOptions{
			Retry: broker.Retry{Attempts: 3}, OnError: func(error) {},
			DeadLetter: func(context.Context, broker.Delivery, error) error { return nil },
		})
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		<-time.After(time.Minute)
		stop()
		must(t, <-ended)
		m.OnDelivery(t.Context(), observe.Delivery{Group: "billing", Topic: "orders", Attempt: 1, Deliveries: 2, Outcome: observe.Dropped})
		compare(t, r, `
shop_deliveries_total{group="billing",outcome="dead_letter",topic="orders"} 1
shop_deliveries_total{group="billing",outcome="dropped",topic="orders"} 1
shop_deliveries_total{group="billing",outcome="failed",topic="orders"} 2
shop_deliveries_total{group="billing",outcome="handled",topic="orders"} 1

shop_published_messages_total{status="error",topic="orders"} 1
shop_published_messages_total{status="ok",topic="orders"} 2

shop_redeliveries_total{group="billing",topic="orders"} 1
`, "shop_published_messages_total", "shop_deliveries_total", "shop_redeliveries_total")
	})
}
