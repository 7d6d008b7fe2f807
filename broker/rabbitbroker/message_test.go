package rabbitbroker_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
)

func TestOtherProgramsReadOurMessagesAsCloudEventsOfTheAMQPBinding(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{})
	ch := v.channel(t)
	q, err := ch.QueueDeclare("theirs", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	must(t, err)
	must(t, ch.QueueBind(q.Name, "#.orders", "lexigram.events", false, nil))
	at := time.Date(2024, 2, 29, 12, 0, 0, 123_000_000, time.UTC)
	m := broker.Message{
		ID: "m1", Topic: "orders", Key: "order-7", Body: []byte(`{}`), Time: at,
		Headers: map[string]string{"ce-specversion": "1.0", "ce-type": "order.placed", "content-type": "application/json", "plain": "x"},
	}
	keyless := m
	keyless.ID, keyless.Key = "m2", ""
	if errs := b.Publish(t.Context(), []broker.Message{m, keyless}); errs != nil {
		t.Fatal(errs)
	}
	for i, id := range []string{"m1", "m2"} {
		d, ok, err := ch.Get(q.Name, true)
		if err != nil || !ok {
			t.Fatalf("message %d: %v", i, err)
		}
		if d.MessageId != id || !d.Timestamp.Equal(at.Truncate(time.Second)) || d.ContentType != "application/json" || d.DeliveryMode != amqp.Persistent {
			t.Errorf("properties: %+v", d)
		}
		want := amqp.Table{"cloudEvents:specversion": "1.0", "cloudEvents:type": "order.placed", "plain": "x", "lexigram:time": at.UnixMilli()}
		if i == 0 {
			want["lexigram:key"] = "order-7"
		}
		delete(d.Headers, "x-delivery-count") // the server's
		if !maps.Equal(d.Headers, want) {
			t.Errorf("headers %v, want %v", d.Headers, want)
		}
	}
}

func TestMessagesOfOtherProgramsAreRead(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{})
	must(t, b.Declare(t.Context(), group))
	ch := v.channel(t)
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for _, p := range []amqp.Publishing{
		{MessageId: "a", Timestamp: at, ContentType: "text/xml", Headers: amqp.Table{"cloudEvents:type": "x", "cloudEvents:time": at, "cloudEvents:partitionkey": "k7"}},
		{Headers: amqp.Table{"cloudEvents_id": "7", "cloudEvents_source": "/them", "cloudEvents_n": int32(3), "cloudEvents_ok": true}},
		{Body: []byte("bare"), Headers: amqp.Table{"X-Request ID": "line\nbreak \xff", "list": []any{"a", int64(1)}, "none": nil}},
	} {
		must(t, ch.Publish("lexigram.events", "orders", false, false, p))
	}
	stream := consume(t, b, group, 10)
	got := receive(t, stream, 3)
	first, second, third := got[0].Message, got[1].Message, got[2].Message
	if first.ID != "a" || first.Topic != "orders" || first.Key != "k7" || !first.Time.Equal(at) || first.Headers["ce-type"] != "x" ||
		first.Headers["ce-time"] != "2024-02-29T12:00:00Z" || first.Headers["content-type"] != "text/xml" {
		t.Errorf("first: %+v", first)
	}
	if second.ID != "/them#7" || second.Headers["ce-n"] != "3" || second.Headers["ce-ok"] != "true" {
		t.Errorf("second: %+v", second)
	}
	if !strings.HasPrefix(third.ID, "amqp-") || third.Headers["x-request-id"] != "line break �" || third.Headers["list"] != `["a",1]` || string(third.Body) != "bare" {
		t.Errorf("third: %+v", third)
	}
	must(t, stream.Close())
	for i, r := range receive(t, consume(t, b, group, 10), 3) {
		if r.Message.ID != got[i].Message.ID || r.Deliveries != 2 {
			t.Errorf("message %s came again as %s, delivery %d", got[i].Message.ID, r.Message.ID, r.Deliveries)
		}
	}
	dead := broker.DeadLetterTo(broker.New(b, broker.Options{}), "mailer", "orders.dead")
	for _, r := range got {
		if err := dead(t.Context(), broker.Delivery{Message: r.Message, Attempt: 1}, errors.New("no")); err != nil {
			t.Errorf("message %s cannot become a dead letter: %v", r.Message.ID, err)
		}
	}
}

func TestLongIdsNamesAndTopicsArriveWhole(t *testing.T) {
	v := newVhost(t)
	b := broker.New(v.open(t, rabbitbroker.Options{}), broker.Options{})
	long := broker.Group{Name: strings.Repeat("g", 200), Topics: []string{strings.Repeat("t", 200), strings.Repeat("t", 199) + "u"}}
	must(t, b.Declare(t.Context(), long))
	m := broker.Message{ID: strings.Repeat("i", 512), Topic: long.Topics[1], Key: strings.Repeat("k", 512), Headers: map[string]string{
		"content-type": strings.Repeat("c", 300), strings.Repeat("h", 255): "x", "empty": "",
	}}
	must(t, b.Publish(t.Context(), m))
	stream, err := b.Backend().Consume(t.Context(), long, 10)
	must(t, err)
	defer stream.Close()
	if got := receive(t, stream, 1)[0].Message; got.ID != m.ID || got.Key != m.Key || got.Topic != m.Topic || !maps.Equal(got.Headers, m.Headers) {
		t.Errorf("got %+v", got)
	}
}

func TestWhatDoesNotFitIsNotSent(t *testing.T) {
	v := newVhost(t)
	b := broker.New(v.open(t, rabbitbroker.Options{MaxMessageBytes: 300_000}), broker.Options{})
	must(t, b.Declare(t.Context(), group))
	for name, spoil := range map[string]func(m *broker.Message){
		"a long header name": func(m *broker.Message) { m.Headers = map[string]string{strings.Repeat("h", 256): "x"} },
		"large headers":      func(m *broker.Message) { m.Headers = map[string]string{"h": strings.Repeat("x", 100_000)} },
		"a large body":       func(m *broker.Message) { m.Body = make([]byte, 300_001) },
	} {
		m := message(1)
		spoil(&m)
		if err := b.Publish(t.Context(), m); !errors.Is(err, broker.ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", name, err)
		}
	}
	fits := message(2)
	fits.Headers = map[string]string{"h": strings.Repeat("x", 90_000)}
	must(t, b.Publish(t.Context(), fits))
	if backlog, err := b.Backlog(t.Context(), group); err != nil || backlog.Messages != 1 {
		t.Errorf("backlog %+v (%v), want the one that fits", backlog, err)
	}
}

func TestTheBacklogOfAGroupThatNobodyDeclaredIsEmpty(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{})
	must(t, b.Declare(t.Context(), group))
	if errs := b.Publish(t.Context(), []broker.Message{message(1)}); errs != nil {
		t.Fatal(errs)
	}
	backlog, err := b.Backlog(context.Background(), broker.Group{Name: "mailer", Topics: []string{"unheard", "orders"}})
	if err != nil || backlog.Messages != 1 {
		t.Errorf("got %+v, %v", backlog, err)
	}
}
