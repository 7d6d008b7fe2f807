package admin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// BenchSubscribe says how to measure subscriptions.
type BenchSubscribe struct {
	BenchRead // what to catch up with

	Samples  int           // appends whose way to the handler is timed, one by one; default 300
	Writers  int           // that append while somebody listens; default 64
	Duration time.Duration // of appending with a listener, and without, all rounds together; default 3 s
}

// SubscribeFigures is what BenchSubscribe has measured: medians over its rounds. Without a baseline its figures are 0.
type SubscribeFigures struct {
	EventsPerSecond    float64 `json:"catch_up_events_per_s"` // of a handler that does nothing
	RawEventsPerSecond float64 `json:"raw_read_events_per_s,omitempty"`
	Ratio              float64 `json:"ratio,omitempty"`
	P50                float64 `json:"latency_p50_ms"` // from the call of Append to the handler, in an idle system
	P99                float64 `json:"latency_p99_ms"`
	ListeningRatio     float64 `json:"append_ratio_listening"` // appends per second while a subscription is woken by each, to without
	HandlingRatio      float64 `json:"append_ratio_handling"`  // while one also reads and handles each in this process, to without
	Events             int64   `json:"events"`                 // that each catch-up has handled
}

// BenchSubscribe measures how fast a subscription catches up with the log, in turns with a raw ordered read by the bare
// driver; how long an event is on its way to a live handler; and what following costs those who append.
func (a *Admin) BenchSubscribe(ctx context.Context, baseline Baseline, o BenchSubscribe) (SubscribeFigures, error) {
	if o.Samples == 0 {
		o.Samples = 300
	}
	if o.Writers == 0 {
		o.Writers = 64
	}
	if o.Duration == 0 {
		o.Duration = 3 * time.Second
	}
	if o.Samples < 0 || o.Writers < 0 || o.Duration < 0 {
		return SubscribeFigures{}, errors.New("bench subscribe: samples, writers and duration must not be negative")
	}
	if err := a.ready(ctx, &o.BenchRead); err != nil {
		return SubscribeFigures{}, fmt.Errorf("bench subscribe: %w", err)
	}
	b := subscribeBench{Admin: a, o: o, run: runName()}
	if err := b.measure(ctx, baseline); err != nil {
		return SubscribeFigures{}, fmt.Errorf("bench subscribe: %w", err)
	}
	return b.figures, nil
}

type subscribeBench struct {
	*Admin
	o       BenchSubscribe
	run     string
	feeds   int
	figures SubscribeFigures
}

func (b *subscribeBench) measure(ctx context.Context, baseline Baseline) error {
	head, err := b.store.Head(ctx)
	if err != nil {
		return err
	}
	c, err := compareReads(ctx, baseline, b.o.Rounds, func() (float64, error) { return b.catchUp(ctx, head) })
	if err != nil {
		return err
	}
	b.figures.EventsPerSecond, b.figures.RawEventsPerSecond, b.figures.Ratio = c.ours, c.raw, c.ratio
	if err := b.latency(ctx); err != nil {
		return err
	}
	return b.burden(ctx)
}

// follow runs do while a subscription does its work.
func (b *subscribeBench) follow(ctx context.Context, h subscription.Handler, o subscription.Options, do func(ctx context.Context, s *subscription.Subscription) error) (err error) {
	b.feeds++
	name := fmt.Sprintf("bench-%s-%d", b.run, b.feeds)
	s, err := subscription.New(b.store, name, h, o)
	if err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(inner) }()
	err = do(ctx, s)
	stop()
	return errors.Join(err, <-ended, subscription.NewControl(b.store).Delete(context.WithoutCancel(ctx), name))
}

func (b *subscribeBench) catchUp(ctx context.Context, head event.Position) (rate float64, err error) {
	var handled atomic.Int64
	start := time.Now()
	err = b.follow(ctx, func(context.Context, event.Recorded) error {
		handled.Add(1)
		return nil
	}, subscription.Options{}, func(ctx context.Context, s *subscription.Subscription) error {
		err := s.WaitFor(ctx, head)
		rate = float64(handled.Load()) / time.Since(start).Seconds()
		return err
	})
	b.figures.Events = handled.Load()
	return rate, err
}

// latency times one append after the other, with a breath in between, so that the system is idle.
func (b *subscribeBench) latency(ctx context.Context) error {
	var (
		w       = newWorkload(b.run+"-latency", 1, 1, b.o.PayloadBytes)
		arrived = make(chan time.Time, 1)
		took    = make([]time.Duration, 0, b.o.Samples)
		breath  = time.NewTicker(5 * time.Millisecond)
	)
	defer breath.Stop()
	err := b.follow(ctx, func(context.Context, event.Recorded) error {
		arrived <- time.Now()
		return nil
	}, subscription.Options{Start: subscription.FromNow()}, func(ctx context.Context, s *subscription.Subscription) error {
		select {
		case <-s.CaughtUp():
		case <-ctx.Done():
			return ctx.Err()
		}
		for range b.o.Samples {
			<-breath.C
			start := time.Now()
			if err := w.append(ctx, b.store, 0); err != nil {
				return err
			}
			select {
			case at := <-arrived:
				took = append(took, at.Sub(start))
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	b.figures.P50, b.figures.P99 = quantile(took, 0.50), quantile(took, 0.99)
	return err
}

// burden appends at full speed, in turns alone, with a subscription that is woken and whose filter selects nothing, and
// with one that handles every event.
func (b *subscribeBench) burden(ctx context.Context) error {
	const rounds = 5
	var (
		w                   = newWorkload(b.run+"-burden", b.o.Writers, 1, b.o.PayloadBytes)
		listening, handling []float64
		nothing             = store.Filter{Categories: []string{"nothing"}}
		ignore              = func(context.Context, event.Recorded) error { return nil }
	)
	appends := func(ctx context.Context) (float64, error) {
		runtime.GC()
		rate, _, err := drive(ctx, b.o.Writers, b.o.Duration/rounds, func(ctx context.Context, writer int) error {
			return w.append(ctx, b.store, writer)
		})
		return rate, err
	}
	with := func(filter store.Filter) (rate float64, err error) {
		err = b.follow(ctx, ignore, subscription.Options{Start: subscription.FromNow(), Filter: filter}, func(ctx context.Context, _ *subscription.Subscription) error {
			rate, err = appends(ctx)
			return err
		})
		return rate, err
	}
	for range rounds {
		alone, err := appends(ctx)
		if err != nil {
			return err
		}
		woken, err := with(nothing)
		if err != nil {
			return err
		}
		busy, err := with(store.Filter{})
		if err != nil {
			return err
		}
		listening, handling = append(listening, woken/alone), append(handling, busy/alone)
	}
	b.figures.ListeningRatio, b.figures.HandlingRatio = median(listening), median(handling)
	return nil
}
