package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Authorize asks before each message whether it may be handled. What it is told of the caller is in the context:
// event.MetadataFrom(ctx) has the actor and the tenant. An error of allow refuses the message, as an ErrForbidden with its
// text.
func Authorize(allow func(ctx context.Context, c Call) error) Step {
	return func(ctx context.Context, c Call, next Next) error {
		if err := allow(ctx, c); err != nil {
			return fmt.Errorf("%s: %w: %w", title(c), ErrForbidden, err)
		}
		return next(ctx)
	}
}

// Timeout bounds what is inside: its context ends after d, or after what byName says for a message of that name. It is up
// to the handler to return then. 0 is no bound.
func Timeout(d time.Duration, byName map[string]time.Duration) Step {
	return func(ctx context.Context, c Call, next Next) error {
		limit, ok := byName[c.Name()]
		if !ok {
			limit = d
		}
		if limit <= 0 {
			return next(ctx)
		}
		inner, cancel := context.WithTimeoutCause(ctx, limit, ErrTimeout)
		defer cancel()
		err := next(inner)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && errors.Is(context.Cause(inner), ErrTimeout) {
			err = fmt.Errorf("%s: %w after %v: %w", title(c), ErrTimeout, limit, err)
		}
		return err
	}
}
