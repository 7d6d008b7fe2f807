// Package natsbaseline is what the NATS broker is measured against: the same messages in one JetStream stream with one
// subject, published asynchronously and consumed by one durable consumer, through bare nats.go, without order over several
// members and without any other promise of the port. The bench command uses it; programs do not.
package natsbaseline

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// cleaning bounds how long it may take to remove the stream.
const cleaning = 10 * time.Second

// Baseline works on a scratch stream.
type Baseline struct {
	conn     *nats.Conn
	js       jetstream.JetStream
	stream   string
	consumer jetstream.Consumer
}

// Open makes a scratch stream. The URL is that of the broker; of its parameters, creds and token count here.
func Open(ctx context.Context, brokerURL string) (*Baseline, error) {
	base, rawQuery, _ := strings.Cut(brokerURL, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, errors.New("open baseline: the URL has a malformed query")
	}
	var options []nats.Option
	if file := query.Get("creds"); file != "" {
		options = append(options, nats.UserCredentials(file))
	}
	if token := query.Get("token"); token != "" {
		options = append(options, nats.Token(token))
	}
	if query.Get("tls") == "true" {
		options = append(options, nats.Secure())
	}
	conn, err := nats.Connect(strings.Replace(base, "tls+nats:", "tls:", 1), options...)
	if err != nil {
		return nil, errors.New("open baseline: the server cannot be reached, or refuses")
	}
	b := &Baseline{conn: conn, stream: "lexevents-baseline-" + strings.ReplaceAll(event.NewID().String(), "-", "")}
	if err := b.make(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

func (b *Baseline) make(ctx context.Context) (err error) {
	if b.js, err = jetstream.New(b.conn, jetstream.WithPublishAsyncMaxPending(2000)); err != nil {
		return err
	}
	if _, err = b.js.CreateStream(ctx, jetstream.StreamConfig{Name: b.stream, Subjects: []string{b.stream}}); err != nil {
		return err
	}
	b.consumer, err = b.js.CreateConsumer(ctx, b.stream, jetstream.ConsumerConfig{
		Durable: "bench", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1,
	})
	return err
}

// Publish sends the messages and waits for all confirmations.
func (b *Baseline) Publish(ctx context.Context, messages []broker.Message) error {
	confirmations := make([]jetstream.PubAckFuture, len(messages))
	for i := range messages {
		m := &messages[i]
		h := make(nats.Header, len(m.Headers)+2)
		h[nats.MsgIdHdr], h["Key"] = []string{m.ID}, []string{m.Key}
		for name, value := range m.Headers {
			h[name] = []string{value}
		}
		confirmation, err := b.js.PublishMsgAsync(&nats.Msg{Subject: b.stream, Header: h, Data: m.Body}, jetstream.WithStallWait(cleaning))
		if err != nil {
			return err
		}
		confirmations[i] = confirmation
	}
	for _, c := range confirmations {
		select {
		case <-c.Ok():
		case err := <-c.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Consume fetches messages and acknowledges each; the last one of a batch with confirmation, as the driver does.
func (b *Baseline) Consume(ctx context.Context, prefetch int, handled func(n int)) error {
	messages, err := b.consumer.Messages(jetstream.PullMaxMessages(prefetch))
	if err != nil {
		return err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	const batch = 100
	for n := 1; ; n++ {
		m, err := messages.Next()
		switch {
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return nil
		case err != nil:
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if n%batch == 0 || meta.NumPending == 0 {
			err = m.DoubleAck(context.WithoutCancel(ctx))
		} else {
			err = m.Ack()
		}
		if err != nil {
			return err
		}
		handled(1)
	}
}

// Close removes the stream.
func (b *Baseline) Close() error {
	defer b.conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), cleaning)
	defer cancel()
	return b.js.DeleteStream(ctx, b.stream)
}
