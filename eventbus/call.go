package eventbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/observe"
)

// handle makes one attempt at a delivery. What cannot be read fails for good at once.
func (h *handler) handle(ctx context.Context, d broker.Delivery) error {
	c, err := h.read(d)
	if (c != nil || err != nil) && h.behind.holds(d.Key) {
		err = errBehind
	}
	if err != nil {
		return broker.Permanent(fmt.Errorf("handler %s: %w", h.name, err))
	}
	if c == nil {
		return nil
	}
	return h.attempt(ctx, c)
}

// attempt calls the handler once, unless it has handled this message before.
func (h *handler) attempt(ctx context.Context, c *Call) error {
	if h.o.Deduplicate > 0 {
		return h.once(ctx, c)
	}
	return h.run(ctx, c)
}

// run calls the handler in a place of its own, watched and with its timeout.
func (h *handler) run(ctx context.Context, c *Call) error {
	free, err := h.places.take(ctx)
	if err != nil {
		return err
	}
	defer free()
	start := time.Now()
	err = h.guarded(ctx, c)
	h.bus.o.Hooks.Dispatch(ctx, observe.Dispatch{Kind: "event", Name: h.name, Took: time.Since(start), Err: err})
	return err
}

// guarded turns panics and timeouts into errors.
func (h *handler) guarded(ctx context.Context, c *Call) (err error) {
	inner, err := within(ctx, &c.Message)
	if err != nil {
		return broker.Permanent(err)
	}
	if h.o.Timeout > 0 {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeoutCause(inner, h.o.Timeout, ErrTimeout)
		defer cancel()
	}
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("handler "+h.name, value)
		}
		if err != nil && errors.Is(context.Cause(inner), ErrTimeout) {
			err = fmt.Errorf("handler %s: %w after %v: %w", h.name, ErrTimeout, h.o.Timeout, err)
		}
	}()
	if c.parts == nil {
		return h.chain(inner, *c)
	}
	for _, c.Event = range c.parts {
		if err := h.chain(inner, *c); err != nil {
			return err
		}
	}
	return nil
}
