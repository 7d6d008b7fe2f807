package eventbus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lexigram.dev/events/broker"
)

// Run takes messages and has them handled until ctx ends; then it takes no more, lets handlers finish within the grace,
// gives the rest back to the broker, and returns nil. A broker that is unavailable is waited for. It returns an error when
// a handler's event type is not registered, when the bus runs already, or when the broker was closed or refuses.
func (b *Bus) Run(ctx context.Context) error {
	if !b.running.CompareAndSwap(false, true) {
		return fmt.Errorf("run event bus %s: %w", b.group, ErrRunning)
	}
	defer b.running.Store(false)
	if err := b.begin(ctx); err != nil {
		return fmt.Errorf("run event bus %s: %w", b.group, err)
	}
	if ctx.Err() != nil {
		return nil
	}
	consumers, err := b.consumers()
	if err != nil {
		return fmt.Errorf("run event bus %s: %w", b.group, err)
	}
	if b.letters != nil {
		for _, h := range b.handlers {
			if err := h.insist(ctx, "look for keys whose messages wait", func() error { return h.behind.load(ctx, h) }); err != nil {
				return nil // told to stop
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		all      sync.WaitGroup
		failures = make([]error, len(consumers))
	)
	for i, c := range consumers {
		all.Go(func() {
			if failures[i] = c.Run(ctx); failures[i] != nil {
				cancel()
			}
		})
	}
	if b.letters != nil {
		for _, h := range b.handlers {
			all.Go(func() { h.retryLetters(ctx) })
		}
	}
	<-ctx.Done()
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("run event bus %s: %w", b.group, err)
	}
	return nil
}

// begin declares the groups, as soon as the broker is there. It gives nil also when ctx ends before.
func (b *Bus) begin(ctx context.Context) error {
	for failures := 1; ; failures++ {
		err := b.Declare(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // what failed because of the end is no error
		case !errors.Is(err, broker.ErrUnavailable):
			return err
		}
		b.o.OnError(fmt.Errorf("event bus %s: %w", b.group, err))
		_ = wait(ctx, b.o.Retry.Pause(failures))
	}
}

// consumers makes the members of the bus's groups.
func (b *Bus) consumers() ([]*broker.Consumer, error) {
	if b.o.Dispatch == Sequential {
		if len(b.handlers) == 0 {
			return nil, nil
		}
		c, err := b.sequenceConsumer()
		return []*broker.Consumer{c}, err
	}
	consumers := make([]*broker.Consumer, len(b.handlers))
	for i, h := range b.handlers {
		concurrency := b.o.MaxConcurrentHandlers
		if h.o.Concurrency > 0 {
			concurrency = min(concurrency, h.o.Concurrency)
		}
		c, err := broker.NewConsumer(b.broker, b.groupOf(h), h.handle, broker.ConsumerOptions{
			DeadLetter: func(ctx context.Context, d broker.Delivery, cause error) error {
				return h.park(ctx, d, d.Attempt, cause)
			},
			Concurrency: concurrency,
			Prefetch:    max(b.o.MaxQueue, concurrency),
			Timeout:     -1, // a call's time begins when it has got its place
			Retry:       h.o.Retry,
			Grace:       b.o.Grace,
			OnError:     b.o.OnError,
		})
		if err != nil {
			return nil, err
		}
		consumers[i] = c
	}
	return consumers, nil
}
