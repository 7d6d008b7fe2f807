// Package breaker is a circuit breaker around handlers, as a middleware.Step: after too many failures in a row the messages of
// that name are refused at once for a while, so that what is broken behind them can recover. It joins package middleware and
// sony/gobreaker.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/store"
)

// ErrOpen is the error for messages that were not handled, since the circuit is open.
var ErrOpen = errcode.New(errcode.CircuitOpen, "circuit breaker is open")

// Options are the settings of a breaker; the zero value works.
type Options struct {
	// Failures is how many in a row open the circuit. Defaults to 5.
	Failures int

	// Recovery is how long it stays open; then single messages are let through to see. Defaults to 30 s.
	Recovery time.Duration

	// Successes is how many messages in a row must then succeed for it to close, and how many are let through at the same
	// time meanwhile. Defaults to 3.
	Successes int

	// Failure says which errors count. Defaults to Breakdown.
	Failure func(err error) bool

	// OnChange is told when a circuit opens, is tried, or closes: "open", "half-open", "closed". Defaults to nothing.
	OnChange func(name, state string)
}

// Breakdown reports whether an error is one of what the handler depends on. Those of the message itself (invalid,
// forbidden), conflicts with other writers and contexts that the caller ended do not count.
func Breakdown(err error) bool {
	for _, own := range []error{middleware.ErrInvalid, middleware.ErrForbidden, store.ErrConflict, store.ErrInvalid, context.Canceled} {
		if errors.Is(err, own) {
			return false
		}
	}
	return err != nil
}

// New makes a step with a circuit for each message name, and for events for each handler besides. Settings that make no
// sense are an error.
func New(o Options) (middleware.Step, error) {
	if o.Failures == 0 {
		o.Failures = 5
	}
	if o.Recovery == 0 {
		o.Recovery = 30 * time.Second
	}
	if o.Successes == 0 {
		o.Successes = 3
	}
	if o.Failure == nil {
		o.Failure = Breakdown
	}
	if o.OnChange == nil {
		o.OnChange = func(string, string) {}
	}
	if o.Failures < 0 || o.Recovery < 0 || o.Successes < 0 {
		return nil, fmt.Errorf("circuit breaker: failures %d, recovery %v, successes %d: must not be negative", o.Failures, o.Recovery, o.Successes)
	}
	var circuits sync.Map // *gobreaker.CircuitBreaker[struct{}] by name
	return func(ctx context.Context, c middleware.Call, next middleware.Next) error {
		name := c.Name()
		if handler := c.Handler(); handler != "" {
			name += " to " + handler
		}
		found, ok := circuits.Load(name)
		if !ok {
			found, _ = circuits.LoadOrStore(name, o.circuit(name))
		}
		_, err := found.(*gobreaker.CircuitBreaker[struct{}]).Execute(func() (struct{}, error) { return struct{}{}, next(ctx) })
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			return fmt.Errorf("%s %s: %w after %d failures in a row; it is tried again after %v", c.Kind(), name, ErrOpen, o.Failures, o.Recovery)
		}
		return err
	}, nil
}

func (o Options) circuit(name string) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:          name,
		MaxRequests:   uint32(o.Successes), //nolint:gosec // is not negative
		Timeout:       o.Recovery,
		ReadyToTrip:   func(counts gobreaker.Counts) bool { return int(counts.ConsecutiveFailures) >= o.Failures },
		OnStateChange: func(name string, _, to gobreaker.State) { o.OnChange(name, to.String()) },
		IsExcluded:    func(err error) bool { return err != nil && !o.Failure(err) },
	})
}
