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

func TestMetadataUUIDAndKeySurviveTheWay(t *testing.T) {
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	defer func() { must(t, b.Close()) }()
	publisher, subscriber := pubSub(t, b, "g", broker.ConsumerOptions{})
	messages, err := subscriber.Subscribe(t.Context(), "t")
	must(t, err)
	sent := message.NewMessage("u1", []byte{0, 1, 255})
	sent.Metadata = message.Metadata{"correlation_id": "c", "Capital Name": "x", "control": "a\nb\u0085", "watermill-metadata": "own"}
	must(t, publisher.Publish("t", sent, message.NewMessage("", nil)))
	for range 2 {
		got := <-messages
		if got.UUID == "u1" && !got.Equals(sent) || got.UUID == "" {
			t.Errorf("got %+v", got)
		}
		got.Ack()
	}
	must(t, b.Publish(t.Context(), broker.Message{ID: "m1", Topic: "t", Key: "k7", Headers: map[string]string{"a": "b"}}))
	got := <-messages
	if got.UUID != "m1" || got.Metadata["a"] != "b" {
		t.Errorf("got %+v", got)
	}
	must(t, b.Declare(t.Context(), broker.Group{Name: "other", Topics: []string{"next"}}))
	must(t, publisher.Publish("next", got)) // a message that is passed on keeps its key
	got.Ack()
	stream, err := b.Backend().Consume(t.Context(), broker.Group{Name: "other", Topics: []string{"next"}}, 1)
	must(t, err)
	received, err := stream.Receive(t.Context(), 1)
	must(t, err)
	if m := received[0].Message; m.Key != "k7" || len(m.Headers) != 1 {
		t.Errorf("passed on as %+v", m)
	}
	must(t, subscriber.Close())
	if err := publisher.Publish("t", &message.Message{UUID: "u", Metadata: message.Metadata{"a": "\xff"}}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestAMessageThatIsNotAcknowledgedIsTriedAgainAndThenADeadLetter(t *testing.T) {
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	defer func() { must(t, b.Close()) }()
	dead := make(chan broker.Delivery, 1)
	s, err := watermillbroker.NewSubscriber(b, "g", broker.ConsumerOptions{
		Retry:      broker.Retry{Attempts: 3, Initial: time.Millisecond},
		DeadLetter: func(_ context.Context, d broker.Delivery, _ error) error { dead <- d; return nil },
		OnError:    func(error) {},
	})
	must(t, err)
	messages, err := s.Subscribe(t.Context(), "t")
	must(t, err)
	must(t, b.Publish(t.Context(), broker.Message{ID: "m1", Topic: "t"}))
	for range 3 {
		(<-messages).Nack()
	}
	if d := <-dead; d.ID != "m1" || d.Attempt != 3 {
		t.Errorf("dead letter %+v", d)
	}
	must(t, s.Close())
	if _, open := <-messages; open {
		t.Error("messages come after Close")
	}
	if _, err := s.Subscribe(t.Context(), "t"); err == nil {
		t.Error("a closed subscriber subscribes")
	}
	if _, err := watermillbroker.NewSubscriber(b, "g", broker.ConsumerOptions{}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid for the missing DeadLetter", err)
	}
}

// What was taken and not handed out when a subscriber is closed has not failed, however few attempts there are.
func TestClosingASubscriberFailsNothing(t *testing.T) {
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	defer func() { must(t, b.Close()) }()
	s, err := watermillbroker.NewSubscriber(b, "g", broker.ConsumerOptions{
		Retry: broker.Retry{Attempts: 1},
		DeadLetter: func(_ context.Context, d broker.Delivery, cause error) error {
			t.Errorf("message %s became a dead letter: %v", d.ID, cause)
			return nil
		},
	})
	must(t, err)
	messages, err := s.Subscribe(t.Context(), "t")
	must(t, err)
	for _, id := range []string{"1", "2", "3", "4"} {
		must(t, b.Publish(t.Context(), broker.Message{ID: id, Topic: "t"}))
	}
	(<-messages).Ack()
	must(t, s.Close())
	left, err := b.Backlog(t.Context(), broker.Group{Name: "g", Topics: []string{"t"}})
	if err != nil || left.Messages != 3 {
		t.Errorf("%d messages are left (%v), want 3", left.Messages, err)
	}
}
