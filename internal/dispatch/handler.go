package dispatch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/observe"
)

// Handler dispatches messages of type C to their handler. It is safe for concurrent use.
type Handler[C, R any] struct {
	bus   *Bus
	name  string
	chain Next // nil where there is no middleware
	last  func(ctx context.Context, c C) (R, error)
	pool  sync.Pool // of *envelope[C, R]
}

// untyped is what a Handler can do for callers who do not know its types.
type untyped interface {
	dispatchAny(ctx context.Context, message any) (any, error)
	resultType() reflect.Type
}

func newHandler[C, R any](b *Bus, t reflect.Type, last func(context.Context, C) (R, error), middleware []Middleware) *Handler[C, R] {
	h := &Handler[C, R]{bus: b, name: t.String(), last: last}
	h.pool.New = func() any { return &envelope[C, R]{handler: h} }
	for i := len(middleware) - 1; i >= 0; i-- {
		if h.chain == nil {
			h.chain = h.innermost
		}
		h.chain = middleware[i](h.chain)
	}
	return h
}

// innermost is the Next of the last middleware: it calls the handler.
func (h *Handler[C, R]) innermost(ctx context.Context, m Message) (err error) {
	e, ok := m.(*envelope[C, R])
	if !ok {
		return fmt.Errorf("%s: middleware passed on a %T in place of the message that it was given", h.title(), m)
	}
	e.result, err = h.last(ctx, e.payload)
	return err
}

// Dispatch sends a message through the middleware to the handler and gives its result. What the handler returns as an
// error comes back as it is; a panic comes back as a *PanicError.
func (h *Handler[C, R]) Dispatch(ctx context.Context, c C) (R, error) {
	if event.MetadataFrom(ctx).CorrelationID == "" {
		ctx = event.WithMetadata(ctx, event.Metadata{CorrelationID: h.bus.newID().String()})
	}
	if h.bus.timeout > 0 || h.bus.hooks.WatchesDispatches() {
		return h.watched(ctx, c)
	}
	return h.call(ctx, c)
}

// watched is call with a timeout and hooks.
func (h *Handler[C, R]) watched(ctx context.Context, c C) (R, error) {
	start := time.Now()
	inner := ctx
	if h.bus.timeout > 0 {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeoutCause(ctx, h.bus.timeout, ErrTimeout)
		defer cancel()
	}
	result, err := h.call(inner, c)
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(inner), ErrTimeout) {
		err = fmt.Errorf("%s: %w after %v: %w", h.title(), ErrTimeout, h.bus.timeout, err)
	}
	h.bus.hooks.Dispatch(ctx, observe.Dispatch{Kind: h.bus.kind, Name: h.name, Took: time.Since(start), Err: err})
	return result, err
}

// call runs the chain. A panic leaves the envelope to the garbage collector, since middleware may still hold it.
func (h *Handler[C, R]) call(ctx context.Context, c C) (result R, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panics.New(h.title(), value)
		}
	}()
	if h.chain == nil {
		return h.last(ctx, c)
	}
	e := h.pool.Get().(*envelope[C, R])
	e.payload = c
	err = h.chain(ctx, e)
	result = e.result
	*e = envelope[C, R]{handler: h}
	h.pool.Put(e)
	return result, err
}

func (h *Handler[C, R]) dispatchAny(ctx context.Context, message any) (any, error) {
	return h.Dispatch(ctx, message.(C))
}

func (h *Handler[C, R]) resultType() reflect.Type { return reflect.TypeFor[R]() }

// title names the message in errors.
func (h *Handler[C, R]) title() string { return h.bus.kind + " " + h.name }
