package admin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"lexigram.dev/events/broker"
)

// BrokerBaseline is the bare client's own speed with the same messages, confirmed and acknowledged as our driver does it,
// without what the port promises besides. It works in scratch topics of its own.
type BrokerBaseline interface {
	// Publish sends messages and returns once the broker has confirmed them all. It is safe for concurrent use.
	Publish(ctx context.Context, messages []broker.Message) error
	// Consume takes what was published, calls handled(1) for each message, as a consumer calls a handler, and acknowledges
	// it, until ctx ends; then it returns nil.
	Consume(ctx context.Context, prefetch int, handled func(n int)) error
	// Close removes what it has made.
	Close() error
}

// BenchBroker says how to measure a broker. Each round publishes messages and then consumes them, through the port and by
// the bare client in turns.
type BenchBroker struct {
	Messages     int           // in each round; default 20,000
	PayloadBytes int           // of the body of each; default 256
	Keys         int           // different keys of the messages; default 1,000
	Batch        int           // messages in each Publish; default 100
	Publishers   int           // publishing at the same time; default 4
	Prefetch     int           // messages that a consumer holds; default 1,000
	Concurrency  int           // handled at the same time; default 10
	Duration     time.Duration // rounds go on until so much time has passed; default 10 s
	Rounds       int           // at least, beside the first, which does not count; default 3
	Progress     func(done, of int64)
}

// BrokerFigures is what BenchBroker has measured: medians over its rounds. Ratios are the medians of the rounds' own
// ratios. Without a baseline its figures are 0.
type BrokerFigures struct {
	Publish Throughput `json:"publish"`
	P50     float64    `json:"publish_p50_ms"` // of one Publish
	P99     float64    `json:"publish_p99_ms"`
	Consume Throughput `json:"consume"`
	Rounds  int        `json:"rounds"`
}

// Throughput compares ours with the bare client's.
type Throughput struct {
	MessagesPerSecond    float64 `json:"messages_per_s"`
	RawMessagesPerSecond float64 `json:"raw_messages_per_s,omitempty"`
	Ratio                float64 `json:"ratio,omitempty"`
}

// Validate says what is wrong with the settings.
func (o BenchBroker) Validate() error {
	for _, n := range []int{o.Messages, o.PayloadBytes, o.Keys, o.Batch, o.Publishers, o.Prefetch, o.Concurrency, int(o.Duration), o.Rounds} {
		if n < 0 {
			return errors.New("bench broker: messages, payload, keys, batch, in flight, duration and rounds must not be negative")
		}
	}
	return nil
}

func (o *BenchBroker) withDefaults() {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.Messages, 20_000)
	set(&o.PayloadBytes, 256)
	set(&o.Keys, 1000)
	set(&o.Batch, 100)
	set(&o.Publishers, 4)
	set(&o.Prefetch, 1000)
	set(&o.Concurrency, 10)
	set(&o.Rounds, 3)
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
}

// MeasureBroker measures a broker, with a nil baseline by itself. It removes
// its group where the broker can, and leaves an empty topic behind.
func MeasureBroker(ctx context.Context, b *broker.Broker, baseline BrokerBaseline, o BenchBroker) (BrokerFigures, error) {
	if err := o.Validate(); err != nil {
		return BrokerFigures{}, err
	}
	o.withDefaults()
	name := "lexevents-bench-" + runName()
	m := brokerBench{o: o, broker: b, baseline: baseline, group: broker.Group{Name: name, Topics: []string{name}}}
	err := m.measure(ctx)
	err = errors.Join(err, m.remove(ctx))
	if err != nil {
		return BrokerFigures{}, fmt.Errorf("bench broker: %w", err)
	}
	return m.figures(), nil
}

// brokerBench is one measurement on its way. The slices hold a figure per round.
type brokerBench struct {
	o        BenchBroker
	broker   *broker.Broker
	baseline BrokerBaseline
	group    broker.Group
	number   int // of messages made so far

	published, rawPublished, publishRatios []float64
	consumed, rawConsumed, consumeRatios   []float64
	took                                   []time.Duration
}

// remove removes the group, also when ctx has ended.
func (m *brokerBench) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := m.broker.RemoveGroup(ctx, m.group); !errors.Is(err, broker.ErrUnsupported) {
		return err
	}
	return nil
}

func (m *brokerBench) measure(ctx context.Context) error {
	if err := m.broker.Declare(ctx, m.group); err != nil {
		return err
	}
	begun := time.Now()
	for round := 0; round <= m.o.Rounds || time.Since(begun) < m.o.Duration; round++ {
		if m.o.Progress != nil {
			m.o.Progress(min(int64(time.Since(begun)), int64(m.o.Duration)), int64(m.o.Duration))
		}
		if err := m.round(ctx, round > 0); err != nil {
			return err
		}
	}
	return nil
}

// round measures once. The first is a warm-up and does not count.
func (m *brokerBench) round(ctx context.Context, counts bool) error {
	publish, took, err := m.publish(ctx, func(ctx context.Context, messages []broker.Message) error { return m.broker.Publish(ctx, messages...) })
	if err != nil {
		return err
	}
	consume, err := m.consume(ctx, m.handle)
	if err != nil || m.baseline == nil {
		m.note(counts, took, publish, 0, consume, 0)
		return err
	}
	rawPublish, _, err := m.publish(ctx, m.baseline.Publish)
	if err != nil {
		return fmt.Errorf("raw publish: %w", err)
	}
	rawConsume, err := m.consume(ctx, func(ctx context.Context, handled func(n int)) error {
		return m.baseline.Consume(ctx, m.o.Prefetch, handled)
	})
	if err != nil {
		return fmt.Errorf("raw consume: %w", err)
	}
	m.note(counts, took, publish, rawPublish, consume, rawConsume)
	return nil
}

func (m *brokerBench) note(counts bool, took []time.Duration, publish, rawPublish, consume, rawConsume float64) {
	runtime.GC() // so that no round pays for another
	if !counts {
		return
	}
	m.took = append(m.took, took...)
	m.published, m.consumed = append(m.published, publish), append(m.consumed, consume)
	if m.baseline != nil {
		m.rawPublished, m.publishRatios = append(m.rawPublished, rawPublish), append(m.publishRatios, publish/rawPublish)
		m.rawConsumed, m.consumeRatios = append(m.rawConsumed, rawConsume), append(m.consumeRatios, consume/rawConsume)
	}
}

func (m *brokerBench) figures() BrokerFigures {
	return BrokerFigures{
		Publish: Throughput{median(m.published), median(m.rawPublished), median(m.publishRatios)},
		P50:     quantile(m.took, 0.50), P99: quantile(m.took, 0.99),
		Consume: Throughput{median(m.consumed), median(m.rawConsumed), median(m.consumeRatios)},
		Rounds:  len(m.published),
	}
}
