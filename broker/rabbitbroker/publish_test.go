package rabbitbroker_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
)

func TestMandatoryPublishingSurfacesTopicsThatNobodyAskedFor(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{Mandatory: true})
	must(t, b.Declare(t.Context(), group))
	nobody := message(2)
	nobody.Topic = "nobody"
	for range 2 { // the second call uses the same channel
		errs := b.Publish(t.Context(), []broker.Message{message(1), nobody, message(3)})
		if errs == nil || errs[0] != nil || errs[2] != nil || !errors.Is(errs[1], broker.ErrRefused) {
			t.Errorf("got %v, want ErrRefused for the second only", errs)
		}
	}
	many := make([]broker.Message, 2500) // more than are sent at once
	for i := range many {
		many[i] = message(i)
		many[i].Topic = "nobody"
	}
	for i, err := range b.Publish(t.Context(), many) {
		if !errors.Is(err, broker.ErrRefused) {
			t.Fatalf("message %d: got %v, want ErrRefused", i, err)
		}
	}
}

func TestAnOperatorCanKeepWhatNobodyAskedFor(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{Partitions: 2})
	ch := v.channel(t)
	_, err := ch.QueueDeclare("rest", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	must(t, err)
	must(t, ch.QueueBind("rest", "", "lexigram.events:@unrouted:2", false, nil))
	if errs := b.Publish(t.Context(), []broker.Message{message(1)}); errs != nil {
		t.Fatal(errs)
	}
	if d, ok, err := ch.Get("rest", true); err != nil || !ok || d.MessageId != "m1" {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestAQueueThatIsFullIsToldForEachMessage(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{Partitions: 1})
	must(t, b.Declare(t.Context(), group))
	v.manage(t, http.MethodPut, "/api/policies/"+v.name+"/small", map[string]any{
		"pattern": ".*", "apply-to": "queues", "definition": map[string]any{"max-length": 3},
	})
	full := func() (errs []error) {
		errs = b.Publish(t.Context(), []broker.Message{message(1)})
		return errs
	}
	eventually(t, "a full queue", func() bool { return full() != nil })
	if errs := full(); !errors.Is(errs[0], broker.ErrFull) {
		t.Errorf("got %v, want ErrFull", errs)
	}
	other := message(1)
	other.Topic = "elsewhere"
	if errs := b.Publish(t.Context(), []broker.Message{message(1), other}); errs == nil || !errors.Is(errs[0], broker.ErrFull) || errs[1] != nil {
		t.Errorf("got %v, want ErrFull for the first only", errs)
	}
}

func TestConfirmationsThatAreLostLeaveTheOutcomeUnknown(t *testing.T) {
	v := newVhost(t)
	b, proxy := v.openThroughProxy(t, rabbitbroker.Options{})
	must(t, b.Declare(t.Context(), group))
	if errs := b.Publish(t.Context(), []broker.Message{message(1)}); errs != nil {
		t.Fatal(errs)
	}
	proxy.Swallow(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if errs := b.Publish(ctx, []broker.Message{message(2), message(3)}); errs == nil || !errors.Is(errs[0], context.DeadlineExceeded) || !errors.Is(errs[1], context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error for both", errs)
	}
	other := v.open(t, rabbitbroker.Options{})
	arrived := func(want int64) {
		t.Helper()
		eventually(t, "the arrival of the messages", func() bool {
			backlog, err := other.Backlog(t.Context(), group)
			must(t, err)
			return backlog.Messages == want
		})
	}
	arrived(3)
	proxy.Cut()
	proxy.Swallow(false)
	eventually(t, "publishing over another connection", func() bool { return b.Publish(t.Context(), []broker.Message{message(4)}) == nil })
	proxy.Swallow(true)
	result := make(chan []error, 1)
	go func() { result <- b.Publish(t.Context(), []broker.Message{message(5)}) }()
	arrived(5)
	proxy.Cut()
	if errs := <-result; errs == nil || !errors.Is(errs[0], broker.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", errs)
	}
}

func TestAnExchangeThatWasRemovedIsMadeAgain(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{})
	must(t, b.Declare(t.Context(), group))
	must(t, v.channel(t).ExchangeDelete("lexigram.events", false, false))
	if errs := b.Publish(t.Context(), []broker.Message{message(1)}); errs == nil || !errors.Is(errs[0], broker.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", errs)
	}
	eventually(t, "a publishing that succeeds", func() bool { return b.Publish(t.Context(), []broker.Message{message(1)}) == nil })
}
