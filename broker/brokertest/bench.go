package brokertest

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/broker"
)

// Benchmark measures from publishing to handling: messages of 256 bytes over 100 keys, in calls of 1 and of 100, handled by
// one member. Divide by ns/op for messages per second.
func Benchmark(b *testing.B, open func(b *testing.B) broker.Backend) {
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			subject := broker.New(open(b), broker.Options{})
			var (
				handled atomic.Int64
				target  atomic.Int64
				done    = make(chan struct{}, 1)
			)
			g := broker.Group{Name: "bench", Topics: []string{"bench"}}
			target.Store(-1)
			consumer, err := broker.NewConsumer(subject, g, func(context.Context, broker.Delivery) error {
				if handled.Add(1) == target.Load() {
					done <- struct{}{}
				}
				return nil
			}, broker.ConsumerOptions{Prefetch: 1000, DeadLetter: broker.DeadLetterTo(subject, "bench", "bench.dead")})
			if err != nil {
				b.Fatal(err)
			}
			if err := subject.Declare(b.Context(), g); err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error)
			go func() { ended <- consumer.Run(ctx) }()
			messages := make([]broker.Message, batch)
			for i := range messages {
				messages[i] = broker.Message{Topic: "bench", Key: fmt.Sprint(i % 100), Body: make([]byte, 256)}
			}
			b.ReportAllocs()
			sent := int64(0)
			for b.Loop() {
				for i := range messages { // each its own id: brokers may know those they have had
					messages[i].ID = strconv.FormatInt(sent+int64(i), 10)
				}
				if err := subject.Publish(b.Context(), messages...); err != nil {
					b.Fatal(err)
				}
				sent += int64(batch)
			}
			target.Store(sent)
			if handled.Load() < sent {
				<-done
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "messages/s")
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}
