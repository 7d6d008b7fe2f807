// Package ratelimit bounds how many messages are handled per second, as a middleware.Step. It joins package middleware and
// golang.org/x/time/rate, a token bucket.
package ratelimit

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/middleware"
)

// ErrLimited is the error for messages that were not handled, since more came than may.
var ErrLimited = errcode.New(errcode.RateLimited, "too many messages")

// Options are the settings of a limit. PerSecond is required.
type Options struct {
	// PerSecond is how many messages of one bucket are let through per second, in the long run.
	PerSecond float64

	// Burst is how many may come at once. Defaults to PerSecond, rounded up.
	Burst int

	// Wait is how long a message may wait for its turn before it is refused. Defaults to 0: it is refused at once.
	Wait time.Duration

	// Bucket names what a message is counted with: by tenant, by actor, by name. Those that have been
	// silent for Burst/PerSecond seconds may be forgotten. Defaults to one bucket for all.
	Bucket func(ctx context.Context, c middleware.Call) string
}

// sweepAfter is how many buckets there may be before idle ones are looked for.
const sweepAfter = 10_000

type limits struct {
	o Options

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	sweepAt int
}

// New makes a step. Settings that make no sense are an error.
func New(o Options) (middleware.Step, error) {
	if o.PerSecond <= 0 || math.IsInf(o.PerSecond, 0) || math.IsNaN(o.PerSecond) {
		return nil, fmt.Errorf("rate limit: %v per second: must be more than 0", o.PerSecond)
	}
	if o.Burst == 0 {
		o.Burst = int(math.Ceil(o.PerSecond))
	}
	if o.Burst < 0 || o.Wait < 0 {
		return nil, fmt.Errorf("rate limit: burst %d, wait %v: must not be negative", o.Burst, o.Wait)
	}
	if o.Bucket == nil {
		o.Bucket = func(context.Context, middleware.Call) string { return "" }
	}
	l := &limits{o: o, buckets: map[string]*rate.Limiter{}, sweepAt: sweepAfter}
	return l.step, nil
}

func (l *limits) step(ctx context.Context, c middleware.Call, next middleware.Next) error {
	name := l.o.Bucket(ctx, c)
	turn := l.bucket(name).Reserve()
	if wait := turn.Delay(); wait > 0 {
		if wait > l.o.Wait {
			turn.Cancel()
			if name != "" {
				name = " of " + name
			}
			return fmt.Errorf("%s %s: %w%s: the limit is %v per second; try again in %v", c.Kind(), c.Name(), ErrLimited, name, l.o.PerSecond, wait.Round(time.Millisecond))
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			turn.Cancel()
			return fmt.Errorf("%s %s: wait for its turn: %w", c.Kind(), c.Name(), context.Cause(ctx))
		}
	}
	return next(ctx)
}

func (l *limits) bucket(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[name]
	if b == nil {
		if len(l.buckets) >= l.sweepAt {
			l.sweep()
		}
		b = rate.NewLimiter(rate.Limit(l.o.PerSecond), l.o.Burst)
		l.buckets[name] = b
	}
	return b
}

// sweep forgets the buckets that are full: new ones are as good.
func (l *limits) sweep() {
	for name, b := range l.buckets {
		if b.Tokens() >= float64(l.o.Burst) {
			delete(l.buckets, name)
		}
	}
	l.sweepAt = max(sweepAfter, 2*len(l.buckets))
}
