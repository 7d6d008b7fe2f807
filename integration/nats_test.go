package integration

import (
	"bytes"
	"testing"

	"github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker/natsbroker"
)

func jetStream() protocol {
	return protocol{variable: "TEST_NATS_URL", open: natsbroker.Driver().Open, listen: listenNATS, send: sendNATS}
}

func connectNATS(t *testing.T, url string) *nats.Conn {
	t.Helper()
	c, err := nats.Connect(url)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func listenNATS(t *testing.T, url, topic string) func(t *testing.T) *cloudevents.Event {
	t.Helper()
	c := connectNATS(t, url)
	subscription, err := c.SubscribeSync("lexigram." + topic + ".>")
	must(t, err)
	must(t, c.Flush())
	return func(t *testing.T) *cloudevents.Event {
		t.Helper()
		m, err := subscription.NextMsg(patience)
		must(t, err)
		e, err := binding.ToEvent(t.Context(), nats_jetstream.NewMessage(m))
		must(t, err)
		return e
	}
}

func sendNATS(t *testing.T, url, topic string, e cloudevents.Event) {
	t.Helper()
	js, err := jetstream.New(connectNATS(t, url))
	must(t, err)
	var body bytes.Buffer
	header, err := nats_jetstream.WriteMsg(binding.WithForceBinary(t.Context()), binding.ToMessage(&e), &body)
	must(t, err)
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: "lexigram." + topic + ".any", Header: header, Data: body.Bytes()})
	must(t, err)
}
