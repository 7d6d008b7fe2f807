package aggregate

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"lexigram.dev/events/store"
)

// Retry says how to go on after a conflict. The zero value works.
type Retry struct {
	// Attempts is how many times to decide and append at the most; 1 means no retry. Defaults to 10.
	Attempts int

	// Wait is the longest wait before the second retry; the first follows at once. It doubles with each retry, up to
	// 64 times, and the wait is a random part of it. Defaults to 1 ms.
	Wait time.Duration
}

func (r Retry) withDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 10
	}
	if r.Wait == 0 {
		r.Wait = time.Millisecond
	}
	return r
}

func (r Retry) validate() error {
	if r.Attempts < 1 || r.Wait < 0 {
		return errors.New("retry: attempts must be at least 1, and wait must not be negative")
	}
	return nil
}

// pause waits before the retry of the given number, 1 for the first. It gives the context's error if that ends.
func (r Retry) pause(ctx context.Context, retry int) error {
	if retry < 2 {
		return ctx.Err()
	}
	longest := r.Wait << min(retry-2, 6)
	timer := time.NewTimer(rand.N(longest + 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// persist appends a commit, again when the outcome is unknown: the ids are the same, so it is stored once.
func (r Retry) persist(ctx context.Context, s *store.Store, c store.Commit) (store.Result, error) {
	for attempt := 1; ; attempt++ {
		res, err := s.Commit(ctx, c)
		if err == nil || !errors.Is(err, store.ErrUnavailable) || attempt >= r.Attempts {
			return res, err
		}
		if r.pause(ctx, attempt+1) != nil {
			return res, err
		}
	}
}
