package rabbitbroker

import (
	"bytes"
	"maps"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"

	amqp "github.com/rabbitmq/amqp091-go"
)

// FuzzMessage: a message that the port allows, a CloudEvent for one, comes back from the form that RabbitMQ carries as it was.
func FuzzMessage(f *testing.F) {
	f.Add("e1", "order-7", "ce-id", "e1", "ce-type", "order.placed", []byte("{}"), int64(1_700_000_000_123))
	f.Add(" id ", "", "ce_type", "  ", "content-type", "", []byte(nil), int64(0))
	f.Add("a/b%", "%", "lex_id", "%41", "x-%", "ä", []byte{0, 0xff}, int64(-1))
	f.Add("e1", "k", "nats-msg-id", "a b", "lexigram-id", "c", []byte("x"), int64(1))
	f.Add("e1", "k", "x-delivery-count", "5", "x-death-reason", "rejected", []byte("x"), int64(1)) // as the server calls its own
	port := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	f.Fuzz(func(t *testing.T, id, key, name, value, name2, value2 string, body []byte, ms int64) {
		want := broker.Message{
			ID: id, Topic: "t", Key: key, Headers: map[string]string{name: value, name2: value2}, Body: body, Time: time.UnixMilli(ms).UTC(),
		}
		if port.Check(want) != nil || want.Time.IsZero() || want.Time.Year() < 1 || want.Time.Year() > 9999 {
			t.Skip()
		}
		p, err := encode(&want)
		if err != nil {
			t.Skip()
		}
		got, before := decode(want.Topic, &amqp.Delivery{MessageId: p.MessageId, Timestamp: p.Timestamp, ContentType: p.ContentType, Headers: p.Headers, Body: p.Body})
		if before != 0 {
			t.Errorf("it counts %d deliveries", before)
		}
		if got.ID != want.ID || got.Topic != want.Topic || got.Key != want.Key || !maps.Equal(got.Headers, want.Headers) || !bytes.Equal(got.Body, want.Body) || !got.Time.Equal(want.Time) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}
