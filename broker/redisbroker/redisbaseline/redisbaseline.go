// Package redisbaseline is what the Redis broker is measured against: the same messages in one Redis stream, read by one
// consumer of a group, through bare go-redis, without order over several members and without any other promise of the port.
// The bench command uses it; programs do not.
package redisbaseline

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

const group = "bench"

// cleaning bounds how long it may take to remove the stream.
const cleaning = 10 * time.Second

// Baseline works on a scratch stream.
type Baseline struct {
	client *redis.Client
	stream string
}

// Open makes a scratch stream. The URL is that of the broker.
func Open(ctx context.Context, brokerURL string) (*Baseline, error) {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return nil, errors.New("open baseline: the URL is not valid")
	}
	u.RawQuery = ""
	options, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errors.New("open baseline: the URL cannot be used")
	}
	b := &Baseline{client: redis.NewClient(options), stream: "lexevents-baseline-" + event.NewID().String()}
	if err := b.client.XGroupCreateMkStream(ctx, b.stream, group, "0").Err(); err != nil {
		_ = b.client.Close()
		return nil, err
	}
	return b, nil
}

// Publish adds the messages to the stream, in one pipeline.
func (b *Baseline) Publish(ctx context.Context, messages []broker.Message) error {
	pipe := b.client.Pipeline()
	for i := range messages {
		m := &messages[i]
		args := append(make([]any, 0, 9+2*len(m.Headers)), "xadd", b.stream, "*", "id", m.ID, "key", m.Key, "body", m.Body)
		for name, value := range m.Headers {
			args = append(args, name, value)
		}
		pipe.Do(ctx, args...)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// Consume reads the stream and acknowledges each batch.
func (b *Baseline) Consume(ctx context.Context, prefetch int, handled func(n int)) error {
	for {
		read, err := b.client.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: group, Consumer: "bench", Streams: []string{b.stream, ">"}, Count: int64(prefetch), Block: 100 * time.Millisecond,
		}).Result()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // what failed because of the end is no error
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return err
		}
		entries := read[0].Messages
		ids := make([]string, len(entries))
		for i := range entries {
			ids[i] = entries[i].ID
			handled(1)
		}
		if err := b.client.XAck(context.WithoutCancel(ctx), b.stream, group, ids...).Err(); err != nil {
			return err
		}
	}
}

// Close removes the stream.
func (b *Baseline) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleaning)
	defer cancel()
	return errors.Join(b.client.Unlink(ctx, b.stream).Err(), b.client.Close())
}
