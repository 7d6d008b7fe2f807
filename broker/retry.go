package broker

import (
	"math"
	"math/rand/v2"
	"time"
)

// Retry says how often and when a failed message is tried again.
type Retry struct {
	// Attempts is how often a message is tried in all. Defaults to 4.
	Attempts int

	// Initial is the pause before the second attempt; each further one is longer, up to Max, and varied by a fifth. Default
	// to 100 ms and 10 s.
	Initial, Max time.Duration

	// Factor is by how much each pause is longer than the one before. Defaults to 2; at least 1.
	Factor float64
}

// WithDefaults fills in the defaults.
func (r Retry) WithDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 4
	}
	if r.Initial == 0 {
		r.Initial = 100 * time.Millisecond
	}
	if r.Max == 0 {
		r.Max = max(10*time.Second, r.Initial)
	}
	if r.Factor == 0 {
		r.Factor = 2
	}
	return r
}

// Validate says what is wrong with a Retry whose defaults are filled in.
func (r Retry) Validate() error {
	if r.Attempts < 1 {
		return invalid("attempts %d: must be at least 1", r.Attempts)
	}
	if r.Initial < 0 || r.Max < r.Initial {
		return invalid("pauses between attempts from %v to %v: need 0 < initial ≤ max", r.Initial, r.Max)
	}
	if !(r.Factor >= 1) {
		return invalid("factor %v between pauses: must be at least 1", r.Factor)
	}
	return nil
}

// Pause is how long to wait after so many failures, from 1.
func (r Retry) Pause(failures int) time.Duration {
	pause := min(float64(r.Max), float64(r.Initial)*math.Pow(r.Factor, float64(failures-1)))
	return time.Duration(pause * (0.8 + 0.4*rand.Float64()))
}
