package redisbroker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/redisbroker"
	"lexigram.dev/events/internal/testserver"
)

const benchmarked = 20_000 // messages in a round

func benchmarkMessages() []broker.Message {
	all := make([]broker.Message, 100)
	for i := range all {
		all[i] = broker.Message{ID: fmt.Sprint(i), Topic: "bench", Key: fmt.Sprint(i), Body: make([]byte, 256)}
	}
	return all
}

// BenchmarkConsume measures the handling of what has gathered: by a consumer of ours, and by XREADGROUP and XACK alone.
func BenchmarkConsume(b *testing.B) {
	url := testserver.URL(b, defaultServer)
	b.Run("ours", func(b *testing.B) {
		backend := open(b, url, redisbroker.Options{Prefix: newPrefix(b, url)})
		p := broker.New(backend, broker.Options{})
		g := broker.Group{Name: "bench", Topics: []string{"bench"}}
		if err := p.Declare(b.Context(), g); err != nil {
			b.Fatal(err)
		}
		messages := benchmarkMessages()
		for b.Loop() {
			b.StopTimer()
			for range benchmarked / len(messages) {
				if err := p.Publish(b.Context(), messages...); err != nil {
					b.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(b.Context())
			var handled atomic.Int64
			c, err := broker.NewConsumer(p, g, func(context.Context, broker.Delivery) error {
				if handled.Add(1) == benchmarked {
					cancel()
				}
				return nil
			}, broker.ConsumerOptions{Prefetch: 1000, DeadLetter: broker.DeadLetterTo(p, "bench", "dead")})
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if err := c.Run(ctx); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*benchmarked/b.Elapsed().Seconds(), "messages/s")
	})
	b.Run("raw client", func(b *testing.B) {
		c, stream := client(b, url), "{"+newPrefix(b, url)+":}raw"
		if err := c.XGroupCreateMkStream(b.Context(), stream, "g", "$").Err(); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			b.StopTimer()
			for range benchmarked / 100 {
				if _, err := c.Pipelined(b.Context(), func(pipe redis.Pipeliner) error {
					for _, m := range benchmarkMessages() {
						pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: stream, Values: []any{"id", m.ID, "key", m.Key, "body", m.Body}})
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
			for n := 0; n < benchmarked; {
				read, err := c.XReadGroup(b.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{stream, ">"}, Count: 1000}).Result()
				if err != nil {
					b.Fatal(err)
				}
				ids := make([]string, len(read[0].Messages))
				for i, m := range read[0].Messages {
					ids[i] = m.ID
				}
				if err := c.XAck(b.Context(), stream, "g", ids...).Err(); err != nil {
					b.Fatal(err)
				}
				n += len(ids)
			}
		}
		b.ReportMetric(float64(b.N)*benchmarked/b.Elapsed().Seconds(), "messages/s")
	})
}
