package kafkabroker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
)

func BenchmarkKafka(b *testing.B) {
	o := server(b)
	brokertest.Benchmark(b, func(b *testing.B) broker.Backend {
		backend := open(b, o)
		b.Cleanup(func() { _, _ = backend.admin.DeleteTopics(context.Background(), "bench", "bench.dead") })
		return backend
	})
}

// BenchmarkRawClient is what BenchmarkKafka is measured against: franz-go with the same settings that does the same, with
// nothing around it, and commits what it has polled before it polls again.
func BenchmarkRawClient(b *testing.B) {
	o := server(b)
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			backend := open(b, o)
			g := broker.Group{Name: "bench-raw", Topics: []string{"bench-raw"}}
			must(b, backend.Declare(b.Context(), g))
			b.Cleanup(func() { _, _ = backend.admin.DeleteTopics(context.Background(), "bench-raw") })
			consumer, err := kgo.NewClient(append(backend.common(), kgo.ConsumerGroup(g.Name), kgo.ConsumeTopics(g.Topics...), kgo.DisableAutoCommit())...)
			must(b, err)
			defer consumer.Close()
			var (
				handled, target atomic.Int64
				done            = make(chan struct{}, 1)
				ended           = make(chan struct{})
			)
			target.Store(-1)
			ctx, cancel := context.WithCancel(b.Context())
			go func() {
				defer close(ended)
				for {
					records := consumer.PollRecords(ctx, 1000).Records()
					if ctx.Err() != nil {
						return
					}
					if err := consumer.CommitRecords(b.Context(), records...); err != nil {
						b.Error(err)
						return
					}
					if n := handled.Add(int64(len(records))); n == target.Load() {
						done <- struct{}{}
					}
				}
			}()
			b.ReportAllocs()
			sent := int64(0)
			for b.Loop() {
				records := make([]*kgo.Record, batch)
				for i := range records {
					records[i] = &kgo.Record{
						Topic: "bench-raw", Key: fmt.Append(nil, i%100), Value: make([]byte, 256),
						Headers: []kgo.RecordHeader{{Key: headerID, Value: fmt.Append(nil, i)}},
					}
				}
				if err := backend.client.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
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
			<-ended
		})
	}
}
