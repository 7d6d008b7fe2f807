package config

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/middleware/breaker"
	"lexigram.dev/events/middleware/fieldtags"
	"lexigram.dev/events/middleware/querycache"
	"lexigram.dev/events/store"
)

// Step is a piece of middleware with its name, by which Options.Middleware finds its place.
type Step struct {
	Name string // "validation", "transaction", "logging", "retry", "metrics", "circuit_breaker", "cache"
	Step middleware.Step
}

func bare(steps []Step) []middleware.Step {
	all := make([]middleware.Step, len(steps))
	for i, s := range steps {
		all[i] = s.Step
	}
	return all
}

// kit holds the middleware; what is nil is off.
type kit struct {
	c                                                  *Config
	validation, transaction, logging, metrics, circuit middleware.Step
	eventTransaction, commandRetry, queryRetry         middleware.Step
	cache                                              *querycache.Cache
}

func (a *App) newKit(w *watch, voidedBy map[string][]string) (*kit, error) {
	c := a.config
	k := &kit{c: c}
	var faults [6]error
	if c.ValidationMiddleware.Enabled {
		k.validation, faults[0] = c.validation(a.logger)
	}
	if _, able := a.Store().Backend().(store.Transactor); c.TransactionMiddleware.Enabled && able {
		k.transaction, faults[1] = c.transaction(a.Store(), c.commandRetry())
		k.eventTransaction, faults[2] = c.transaction(a.Store(), c.retry(c.RetryMiddleware.MaxRetries, c.RetryMiddleware.InitialDelay))
	} else if c.TransactionMiddleware.Enabled && c.given("transaction_middleware.enabled") {
		a.logger.Warn("transaction_middleware has no effect: the store has no transactions", slog.String("event_store_backend", c.EventStoreBackend))
	}
	if c.LoggingMiddleware.Enabled {
		k.logging = middleware.Log(c.logOptions(a.logger))
	}
	if c.RetryMiddleware.Enabled {
		k.commandRetry, faults[3] = middleware.Retry(c.commandRetry())
		k.queryRetry, faults[4] = middleware.Retry(c.retry(c.RetryMiddleware.MaxRetries, c.RetryMiddleware.InitialDelay))
	}
	if w.metrics != nil {
		k.metrics = w.metrics.Step()
	}
	if b := c.CircuitBreakerMiddleware; b.Enabled {
		k.circuit, faults[5] = breaker.New(breaker.Options{Failures: b.FailureThreshold, Recovery: b.RecoveryTimeout, Successes: b.SuccessThreshold})
	}
	err := errors.Join(faults[:]...)
	if c.QueryBus.EnableCaching && err == nil {
		k.cache, err = querycache.New(querycache.Options{TTL: c.QueryBus.CacheTTL, VoidedBy: voidedBy})
	}
	return k, err
}

// commands are the steps around command handlers, from the outside in.
func (k *kit) commands() []Step {
	b := k.c.CommandBus
	return steps(
		when(b.EnableValidation, "validation", k.validation), when(true, "transaction", k.transaction),
		when(b.EnableLogging, "logging", k.logging), when(true, "retry", k.commandRetry),
		when(b.EnableMetrics, "metrics", k.metrics), when(true, "circuit_breaker", k.circuit),
	)
}

// queries are those around query handlers.
func (k *kit) queries() []Step {
	b := k.c.QueryBus
	var cache middleware.Step
	if k.cache != nil {
		cache = k.cache.Step()
	}
	return steps(
		when(true, "validation", k.validation), when(b.EnableLogging, "logging", k.logging), when(true, "retry", k.queryRetry),
		when(b.EnableMetrics, "metrics", k.metrics), when(true, "circuit_breaker", k.circuit), when(true, "cache", cache),
	)
}

// events are those around event handlers. Their retries are the bus's.
func (k *kit) events() []Step {
	return steps(
		when(true, "validation", k.validation), when(true, "transaction", k.eventTransaction), when(true, "logging", k.logging),
		when(true, "metrics", k.metrics), when(true, "circuit_breaker", k.circuit),
	)
}

func when(on bool, name string, step middleware.Step) Step {
	if !on {
		step = nil
	}
	return Step{name, step}
}

// steps leaves out what is off.
func steps(all ...Step) []Step {
	var on []Step
	for _, s := range all {
		if s.Step != nil {
			on = append(on, s)
		}
	}
	return on
}

// validation refuses messages with faults, or only logs them.
func (c *Config) validation(logger *slog.Logger) (middleware.Step, error) {
	tags, err := fieldtags.New(nil)
	if err != nil {
		return nil, err
	}
	strict := middleware.Validate(tags)
	if c.ValidationMiddleware.StrictMode {
		return strict, nil
	}
	return func(ctx context.Context, call middleware.Call, next middleware.Next) error {
		var faults *middleware.ValidationError
		valid := func(context.Context) error { return nil }
		if err := strict(ctx, call, valid); errors.As(err, &faults) {
			logger.WarnContext(ctx, "handled though it is not valid", slog.Any("error", faults))
		}
		return next(ctx)
	}, nil
}

// transaction puts its timeout around itself, so that what takes too long is rolled back.
func (c *Config) transaction(s *store.Store, retry middleware.RetryOptions) (middleware.Step, error) {
	if !c.RetryMiddleware.Enabled {
		retry.Policy.Attempts = 1
	}
	transact, err := middleware.Transaction(s, retry)
	if err != nil {
		return nil, err
	}
	bound := middleware.Timeout(c.TransactionMiddleware.Timeout, nil)
	return func(ctx context.Context, call middleware.Call, next middleware.Next) error {
		if call.Kind() == middleware.Query {
			return next(ctx)
		}
		return bound(ctx, call, func(ctx context.Context) error { return transact(ctx, call, next) })
	}, nil
}

func (c *Config) logOptions(logger *slog.Logger) middleware.LogOptions {
	l := c.LoggingMiddleware
	levels := map[string]slog.Level{"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError}
	return middleware.LogOptions{Logger: logger, Level: levels[l.LogLevel], Payload: l.IncludePayload, MaxPayloadBytes: l.MaxPayloadLength}
}

func (c *Config) commandRetry() middleware.RetryOptions {
	return c.retry(c.CommandBus.MaxRetries, c.CommandBus.RetryDelay)
}

// retry makes the policy of so many further attempts.
func (c *Config) retry(retries int, initial time.Duration) middleware.RetryOptions {
	return middleware.RetryOptions{Policy: c.pauses(retries, initial)}
}

func (c *Config) pauses(retries int, initial time.Duration) broker.Retry {
	r := broker.Retry{Attempts: retries + 1, Initial: initial, Max: max(initial, c.RetryMiddleware.MaxDelay), Factor: c.RetryMiddleware.ExponentialBase}
	if c.RetryMiddleware.Backoff == "constant" {
		r.Factor = 1
	}
	return r
}
