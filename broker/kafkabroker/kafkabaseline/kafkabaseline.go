// Package kafkabaseline is what the Kafka broker is measured against: the same records in one topic, produced with
// acks=all by an idempotent producer, consumed by a group that commits each poll before the next, by bare franz-go. The
// bench command uses it; programs do not.
package kafkabaseline

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// cleaning bounds how long it may take to remove the topic.
const cleaning = 10 * time.Second

// Baseline works on a scratch topic.
type Baseline struct {
	options  []kgo.Opt
	producer *kgo.Client
	topic    string
}

// partitions is how many the topic has: as many as those that the broker makes.
const partitions = 12

// Open makes a scratch topic. The URL is that of the broker, whose hosts, TLS, name and password (SASL PLAIN) are used.
func Open(ctx context.Context, brokerURL string) (*Baseline, error) {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return nil, errors.New("open baseline: the URL is not valid")
	}
	b := &Baseline{topic: "lexevents-baseline-" + event.NewID().String()}
	b.options = []kgo.Opt{kgo.SeedBrokers(strings.Split(u.Host, ",")...)}
	if u.Scheme == "kafkas" {
		b.options = append(b.options, kgo.DialTLS())
	}
	if password, ok := u.User.Password(); ok {
		b.options = append(b.options, kgo.SASL(plain.Auth{User: u.User.Username(), Pass: password}.AsMechanism()))
	}
	if b.producer, err = kgo.NewClient(append([]kgo.Opt{kgo.DefaultProduceTopic(b.topic)}, b.options...)...); err != nil {
		return nil, errors.New("open baseline: the settings cannot be used")
	}
	made, err := kadm.NewClient(b.producer).CreateTopic(ctx, partitions, -1, nil, b.topic)
	if err = errors.Join(err, made.Err); err != nil {
		b.producer.Close()
		return nil, err
	}
	return b, nil
}

// Publish produces the records and waits for all of them.
func (b *Baseline) Publish(ctx context.Context, messages []broker.Message) error {
	records := make([]*kgo.Record, len(messages))
	for i := range messages {
		m := &messages[i]
		r := &kgo.Record{Key: []byte(m.Key), Value: m.Body, Timestamp: m.Time, Headers: make([]kgo.RecordHeader, 0, len(m.Headers)+1)}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "id", Value: []byte(m.ID)})
		for name, value := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		records[i] = r
	}
	return b.producer.ProduceSync(ctx, records...).FirstErr()
}

// Consume polls, and commits each poll.
func (b *Baseline) Consume(ctx context.Context, prefetch int, handled func(n int)) error {
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumerGroup(b.topic), kgo.ConsumeTopics(b.topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, b.options...)...)
	if err != nil {
		return errors.New("the settings cannot be used")
	}
	defer c.Close()
	for {
		fetches := c.PollRecords(ctx, prefetch)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		records := fetches.Records()
		if len(records) == 0 {
			continue
		}
		for range records {
			handled(1)
		}
		if err := c.CommitRecords(context.WithoutCancel(ctx), records...); err != nil {
			return err
		}
	}
}

// Close removes the topic.
func (b *Baseline) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleaning)
	defer cancel()
	admin := kadm.NewClient(b.producer)
	_, err := admin.DeleteTopics(ctx, b.topic)
	if err == nil {
		_, err = admin.DeleteGroups(ctx, b.topic)
	}
	b.producer.Close()
	return err
}
