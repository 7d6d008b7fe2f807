package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// stall is how long nothing may come before consuming is given up.
const stall = 60 * time.Second

// messages makes those of a round, with the headers that events have.
func (m *brokerBench) messages() []broker.Message {
	messages := make([]broker.Message, m.o.Messages)
	body := []byte(`{"text":"` + strings.Repeat("x", max(0, m.o.PayloadBytes-11)) + `"}`)
	for i := range messages {
		id := event.NewID().String()
		m.number++
		messages[i] = broker.Message{
			ID: id, Topic: m.group.Topics[0], Key: fmt.Sprintf("bench-%d", m.number%m.o.Keys), Body: body,
			Headers: map[string]string{
				"ce-specversion": "1.0", "ce-id": id, "ce-source": "/bench", "ce-type": "bench.done",
				"ce-time": "2026-01-01T00:00:00Z", "content-type": event.JSON,
			},
			Time: time.Now().UTC().Truncate(time.Millisecond),
		}
	}
	return messages
}

// publish sends the messages of a round by all publishers, and gives the rate and what each call has taken.
func (m *brokerBench) publish(ctx context.Context, send func(ctx context.Context, messages []broker.Message) error) (perSecond float64, took []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		messages   = m.messages()
		next       atomic.Int64 // batch
		publishers sync.WaitGroup
		each       = make([][]time.Duration, m.o.Publishers)
		begun      = time.Now()
	)
	for p := range m.o.Publishers {
		publishers.Go(func() {
			for ctx.Err() == nil {
				from := int(next.Add(1)-1) * m.o.Batch
				if from >= len(messages) {
					return
				}
				at := time.Now()
				if err := send(ctx, messages[from:min(from+m.o.Batch, len(messages))]); err != nil {
					cancel(err)
					return
				}
				each[p] = append(each[p], time.Since(at))
			}
		})
	}
	publishers.Wait()
	elapsed := time.Since(begun)
	if err := context.Cause(ctx); err != nil {
		return 0, nil, err
	}
	for _, of := range each {
		took = append(took, of...)
	}
	return float64(len(messages)) / elapsed.Seconds(), took, nil
}

// consume takes the messages of a round, and gives the rate from the first that came to the last: joining the group is
// not counted.
func (m *brokerBench) consume(ctx context.Context, run func(ctx context.Context, handled func(n int)) error) (perSecond float64, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := &stopwatch{want: int64(m.o.Messages), done: stop}
	stalled := make(chan bool, 1)
	go func() { stalled <- w.watch(ctx, stop) }()
	err = run(ctx, w.handled)
	stop()
	switch gaveUp := <-stalled; {
	case w.complete(): // what fails after the last message fails for its own end
		return w.rate(), nil
	case gaveUp:
		return 0, errors.Join(fmt.Errorf("%d of %d messages have come, and then for %v none", w.count.Load(), w.want, stall), err)
	case err != nil:
		return 0, err
	}
	return 0, ctx.Err()
}

// handle consumes through the port.
func (m *brokerBench) handle(ctx context.Context, handled func(n int)) error {
	var failure atomic.Pointer[error]
	c, err := broker.NewConsumer(m.broker, m.group, func(context.Context, broker.Delivery) error {
		handled(1)
		return nil
	}, broker.ConsumerOptions{
		DeadLetter:  func(_ context.Context, _ broker.Delivery, cause error) error { return cause },
		Concurrency: m.o.Concurrency, Prefetch: max(m.o.Prefetch, m.o.Concurrency),
		OnError: func(err error) { failure.CompareAndSwap(nil, &err) },
	})
	if err == nil {
		err = c.Run(ctx)
	}
	if f := failure.Load(); err == nil && f != nil {
		err = *f
	}
	return err
}

// stopwatch counts messages and keeps the time of the first and the last. Both sides call handled for each message, in
// the place of a handler: it must cost next to nothing.
type stopwatch struct {
	want  int64
	done  func()
	count atomic.Int64
	begun atomic.Pointer[time.Time] // when the first came
	over  atomic.Pointer[time.Time] // when the last came
}

func (w *stopwatch) handled(n int) {
	count := w.count.Add(int64(n))
	if count == int64(n) {
		now := time.Now()
		w.begun.Store(&now)
	}
	if count >= w.want && count-int64(n) < w.want {
		now := time.Now()
		w.over.Store(&now)
		w.done()
	}
}

// watch stops what does not move on, and reports whether it had to.
func (w *stopwatch) watch(ctx context.Context, stop func()) bool {
	t := time.NewTicker(stall)
	defer t.Stop()
	for before := int64(-1); ; {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			count := w.count.Load()
			if count == before {
				stop()
				return true
			}
			before = count
		}
	}
}

func (w *stopwatch) complete() bool { return w.over.Load() != nil }

func (w *stopwatch) rate() float64 {
	return float64(w.want-1) / max(w.over.Load().Sub(*w.begun.Load()), time.Microsecond).Seconds()
}
