package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/store"
)

// RetryOptions are the settings of Retry; the zero value works.
type RetryOptions struct {
	// Policy says how often and after which pauses. Defaults to 4 attempts in all, with pauses from 100 ms doubling to
	// 10 s, each varied by a fifth.
	Policy broker.Retry

	// If says which errors another attempt may cure. Defaults to Transient.
	If func(err error) bool

	// OnRetry is told before each further attempt of the failure before it; attempt counts from 2. Defaults to nothing.
	OnRetry func(ctx context.Context, c Call, attempt int, err error)
}

// Transient reports whether an error is a conflict with another writer, which reloading cures, or a store or broker that
// cannot be reached for now.
func Transient(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrFull)
}

// Retry calls what is inside again when it has failed with an error that another attempt may cure. The handler begins
// anew: it loads what it needs again. Within a transaction (see Transaction) it makes one attempt only, since a transaction
// that has failed is void; Transaction then tries again. The context bounds the pauses too. Settings that make no sense
// are an error.
func Retry(o RetryOptions) (Step, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("retry: %w", err)
	}
	return func(ctx context.Context, c Call, next Next) error {
		if inTransaction(ctx, nil) {
			return next(ctx)
		}
		return o.run(ctx, c, next)
	}, nil
}

func (o RetryOptions) withDefaults() (RetryOptions, error) {
	o.Policy = o.Policy.WithDefaults()
	if o.If == nil {
		o.If = Transient
	}
	if o.OnRetry == nil {
		o.OnRetry = func(context.Context, Call, int, error) {}
	}
	return o, o.Policy.Validate()
}

// run makes attempts until one succeeds, or fails for good.
func (o RetryOptions) run(ctx context.Context, c Call, next Next) error {
	for attempt := 1; ; attempt++ {
		err := next(ctx)
		if err == nil || ctx.Err() != nil || !o.If(err) {
			return err
		}
		if attempt == o.Policy.Attempts {
			return fmt.Errorf("%s: %d attempts: %w", title(c), attempt, err)
		}
		if !pause(ctx, o.Policy.Pause(attempt)) {
			return err
		}
		o.OnRetry(ctx, c, attempt+1, err)
	}
}

// pause reports false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
