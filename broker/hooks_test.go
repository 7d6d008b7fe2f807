package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/observe"
)

// watcher notes what hooks are told.
type watcher struct {
	mu                    sync.Mutex
	published, deliveries []string
}

func (w *watcher) OnPublish(_ context.Context, p observe.Publish) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, fmt.Sprintf("%s: %d, %d failed, %v", p.Topic, p.Messages, p.Failed, p.Err != nil))
}

func (w *watcher) OnDelivery(_ context.Context, d observe.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deliveries = append(w.deliveries, fmt.Sprintf("%s/%s %d.%d %s: %v", d.Group, d.Topic, d.Deliveries, d.Attempt, d.Outcome, d.Err))
}

func TestHooksAreToldOfPublishingAndOfEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{}
		hooks, err := observe.NewHooks(w)
		must(t, err)
		f := newFaulty()
		b := broker.New(f, broker.Options{Hooks: hooks})
		boom, full := errors.New("boom"), errors.New("full")
		kept := false
		stop := consume(t, b, func(_ context.Context, d broker.Delivery) error {
			switch {
			case d.ID == "bad", d.ID == "shaky" && d.Attempt == 1:
				return boom
			case d.ID == "held" && d.Deliveries == 1:
				f.Disconnect()
			}
			return nil
		}, broker.ConsumerOptions{
			Retry: broker.Retry{Attempts: 2}, Concurrency: 1,
			DeadLetter: func(context.Context, broker.Delivery, error) error {
				if kept {
					return nil
				}
				kept = true
				return full
			},
		})
		publish := func(id string) {
			must(t, b.Publish(t.Context(), message(id)))
			sleep(time.Minute)
		}
		publish("fine")
		publish("shaky")
		publish("bad")
		publish("held")
		f.publish = func([]broker.Message) []error { return []error{nil, broker.ErrFull} }
		if err := b.Publish(t.Context(), message("1"), message("2")); !errors.Is(err, broker.ErrFull) {
			t.Errorf("got %v", err)
		}
		if err := b.Publish(t.Context(), broker.Message{}); err == nil {
			t.Error("an invalid message was published")
		}
		must(t, stop())
		g := orders().Name + "/" + orders().Topics[0]
		ok := "orders: 1, 0 failed, false"
		if want := []string{ok, ok, ok, ok, "orders: 2, 1 failed, true", ": 1, 1 failed, true"}; !slices.Equal(w.published, want) {
			t.Errorf("told of publishing %q, want %q", w.published, want)
		}
		want := []string{
			g + " 1.1 handled: <nil>",
			g + " 1.1 failed: boom", g + " 1.2 handled: <nil>",
			g + " 1.1 failed: boom", g + " 1.2 unkept: full", g + " 1.2 dead_letter: boom",
			g + " 1.1 handled: <nil>", g + " 2.1 handled: <nil>",
		}
		if !slices.Equal(w.deliveries, want) {
			t.Errorf("told of deliveries\n%q\nwant\n%q", w.deliveries, want)
		}
	})
}
