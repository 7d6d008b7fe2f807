package eventbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// park keeps a message as a dead letter of the handler.
func (h *handler) park(ctx context.Context, d broker.Delivery, attempts int, cause error) error {
	b := h.bus
	if b.letters == nil {
		b.o.OnError(fmt.Errorf("handler %s: message %s of topic %s is given up after %d attempts: %w", h.name, d.ID, d.Topic, attempts, cause))
		return nil
	}
	letter := deadletter.Letter{
		Source: h.source(), Attempts: attempts, Error: cause.Error(),
		Message: &deadletter.Message{ID: d.ID, Topic: d.Topic, Key: d.Key, Headers: d.Headers, Body: d.Body},
	}
	skew, _ := schema.SkewOf(cause)
	h.order(&letter, skew, cause)
	for {
		ops, err := b.letters.Park(ctx, letter)
		if err == nil {
			_, err = b.o.Store.Apply(ctx, ops...)
		}
		var changed *store.RevisionError
		if errors.As(err, &changed) && ctx.Err() == nil { // the other letters of its key have changed
			continue
		}
		if err != nil {
			return err
		}
		if skew != schema.NoSkew {
			h.behind.add(d.Key)
			h.alert(ctx, d, skew, cause)
		}
		return nil
	}
}

// keep parks a message, however often it takes, or gives the context's error.
func (h *handler) keep(ctx context.Context, d broker.Delivery, attempts int, cause error) error {
	return h.insist(ctx, "keep message "+d.ID+" as a dead letter", func() error { return h.park(ctx, d, attempts, cause) })
}

// retryLetters looks, until ctx ends, for dead letters of the handler that somebody wants retried, and retries them.
func (h *handler) retryLetters(ctx context.Context) {
	work, stop := graceful(ctx, h.bus.o.Grace)
	defer stop()
	_, err := h.bus.letters.RetrySkewed(ctx, h.source(), func(*deadletter.Letter) bool { return true })
	h.reportFault("ask for a retry of what an older release has set aside", err)
	for wait(ctx, h.bus.o.PollInterval) == nil {
		h.reportFault("look for keys whose messages wait", h.behind.load(ctx, h))
		for letter, err := range h.bus.letters.Requested(ctx, h.source()) {
			if err == nil {
				err = h.retryLetter(work, letter)
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				h.bus.o.OnError(fmt.Errorf("retry dead letters of handler %s: %w", h.name, err))
				break
			}
		}
	}
}

// retryLetter runs a letter through the handler, and no other, unless another process does.
func (h *handler) retryLetter(ctx context.Context, letter deadletter.Letter) error {
	s := h.bus.o.Store
	holder := lease.NewHolder(s, claimsBucket, h.name, max(h.o.Timeout, 0)+claimMargin)
	claim, err := holder.Acquire(ctx, claimKey(letter.ID))
	if errors.Is(err, lease.ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		h.reportFault("give up the claim on letter "+letter.ID, claim.Release(context.WithoutCancel(ctx)))
	}()
	letter, err = h.bus.letters.Get(ctx, letter.ID) // another may have been quicker
	if errors.Is(err, store.ErrNotFound) || err == nil && letter.State != deadletter.StateRequested {
		return nil
	}
	if err != nil {
		return err
	}
	failure := h.handleLetter(ctx, letter)
	if ctx.Err() != nil {
		return ctx.Err() // it stays requested
	}
	var ops []store.Op
	if failure == nil {
		ops, err = h.bus.letters.Resolved(ctx, letter)
	} else {
		ops, err = h.bus.letters.Failed(ctx, letter, failure)
	}
	if err != nil || len(ops) == 0 {
		return err
	}
	_, err = s.Apply(ctx, ops...)
	return err
}

// handleLetter makes one attempt at a letter. One that the handler does not take must not pass for handled.
func (h *handler) handleLetter(ctx context.Context, letter deadletter.Letter) error {
	m := letter.Message
	if m == nil {
		return errors.New("the letter holds no message")
	}
	c, err := h.read(broker.Delivery{
		Message: broker.Message{ID: m.ID, Topic: m.Topic, Key: m.Key, Headers: m.Headers, Body: m.Body, Time: letter.FirstFailedAt},
		Attempt: letter.Attempts + 1,
	})
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("handler %s does not take this message any more: it takes %s", h.name, h.takes)
	}
	return h.attempt(ctx, c)
}

// graceful gives a context that ends some time after ctx does.
func graceful(ctx context.Context, grace time.Duration) (context.Context, func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if wait(work, grace) == nil {
			cancel()
		}
	})
	return work, func() { stop(); cancel() }
}

// wait gives the context's error when that ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
