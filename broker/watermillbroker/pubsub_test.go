package watermillbroker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/broker/watermillbroker"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pubSub gives a broker of ours as Watermill sees it.
func pubSub(t *testing.T, b *broker.Broker, group string, o broker.ConsumerOptions) (message.Publisher, message.Subscriber) {
	t.Helper()
	o.Grace = time.Second
	o.Retry = broker.Retry{Attempts: 1 << 30, Initial: time.Millisecond, Max: 10 * time.Millisecond}
	o.OnError = func(error) {}
	if o.DeadLetter == nil {
		o.DeadLetter = func(context.Context, broker.Delivery, error) error { return errors.New("must not be") }
	}
	s, err := watermillbroker.NewSubscriber(b, group, o)
	must(t, err)
	return watermillbroker.NewPublisher(b, watermillbroker.PublisherOptions{}), s
}

// TestABrokerOfOursKeepsTheRulesOfWatermill runs Watermill's own suite for Pub/Subs.
func TestABrokerOfOursKeepsTheRulesOfWatermill(t *testing.T) {
	backend := membroker.New(membroker.Options{})
	b := broker.New(backend, broker.Options{})
	t.Cleanup(func() { must(t, b.Close()) })
	withGroup := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		return pubSub(t, b, group, broker.ConsumerOptions{})
	}
	tests.TestPubSub(t, tests.Features{
		ConsumerGroups: true, ExactlyOnceDelivery: false, GuaranteedOrder: false, Persistent: true,
	}, func(t *testing.T) (message.Publisher, message.Subscriber) { return withGroup(t, "tests") }, withGroup)
}
