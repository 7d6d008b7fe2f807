package eventbus

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/broker"
)

// sequenceConsumer makes the one consumer of a sequential bus. Retries and dead letters are those of the handlers, and
// happen within one delivery.
func (b *Bus) sequenceConsumer() (*broker.Consumer, error) {
	return broker.NewConsumer(b.broker, b.groupOf(b.handlers[0]), b.sequence, broker.ConsumerOptions{
		DeadLetter:  b.parkForAll,
		Concurrency: b.o.MaxConcurrentHandlers,
		Prefetch:    max(b.o.MaxQueue, b.o.MaxConcurrentHandlers),
		Timeout:     -1, // each handler has its own
		Retry:       broker.Retry{Attempts: 1, Initial: b.o.Retry.Initial, Max: b.o.Retry.Max},
		Grace:       b.o.Grace,
		OnError:     b.o.OnError,
	})
}

// sequence calls the handlers of a message one after the other. It gives an error only when the grace is over.
func (b *Bus) sequence(ctx context.Context, d broker.Delivery) error {
	failed := ""
	for _, h := range b.handlers {
		var (
			attempts int
			cause    error
		)
		if failed == "" {
			attempts, cause = h.persist(ctx, d)
		} else if c, err := h.read(d); c != nil || err != nil {
			cause = fmt.Errorf("%w: handler %s has failed before", ErrNotCalled, failed)
		}
		if cause == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := h.keep(ctx, d, attempts, cause); err != nil {
			return err
		}
		if b.o.StopOnError && failed == "" {
			failed = h.name
		}
	}
	return nil
}

// persist tries a handler until it succeeds, or fails for good.
func (h *handler) persist(ctx context.Context, d broker.Delivery) (attempts int, err error) {
	for d.Attempt = 1; ; d.Attempt++ {
		err := h.handle(ctx, d)
		if err == nil || ctx.Err() != nil {
			return d.Attempt, err
		}
		h.bus.o.OnError(fmt.Errorf("handler %s: message %s of topic %s: attempt %d of %d: %w", h.name, d.ID, d.Topic, d.Attempt, h.o.Retry.Attempts, err))
		if d.Attempt >= h.o.Retry.Attempts || broker.IsPermanent(err) {
			return d.Attempt, err
		}
		if err := wait(ctx, h.o.Retry.Pause(d.Attempt)); err != nil {
			return d.Attempt, err
		}
	}
}

// parkForAll keeps a message that was not even tried, since it seems to kill its consumers, for each handler that may
// want it.
func (b *Bus) parkForAll(ctx context.Context, d broker.Delivery, cause error) error {
	var faults []error
	for _, h := range b.handlers {
		if c, err := h.read(d); c != nil || err != nil {
			faults = append(faults, h.park(ctx, d, 0, cause))
		}
	}
	return errors.Join(faults...)
}
