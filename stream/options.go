package stream

import (
	"cmp"
	"log/slog"
	"time"
)

// Options are the settings of a Feed; the zero value works.
type Options struct {
	// BufferSize is how many live events wait for a subscriber. With more, the subscriber has to read the log for itself
	// until it has caught up again. Defaults to 1000.
	BufferSize int

	// BatchSize is the greatest number of events that are read from the log, and given to a subscriber, at once. Defaults
	// to 100.
	BatchSize int

	// PollInterval is how often the log is looked at when no wake-up comes. Defaults to 100 ms.
	PollInterval time.Duration

	// MaxSubscribers is how many there may be at the same time. Defaults to 100.
	MaxSubscribers int

	// SlowAfter is how long a subscriber whose buffer has become full may take nothing, until it is disconnected. Defaults
	// to 10 s.
	SlowAfter time.Duration

	// OnError is told of each fault of the backend, which is waited out; it must be safe for concurrent use. Defaults to a
	// warning in slog.Default().
	OnError func(err error)
}

func (o Options) withDefaults() Options {
	o.BufferSize = positive(o.BufferSize, 1000)
	o.BatchSize = positive(o.BatchSize, 100)
	o.PollInterval = positive(o.PollInterval, 100*time.Millisecond)
	o.MaxSubscribers = positive(o.MaxSubscribers, 100)
	o.SlowAfter = positive(o.SlowAfter, 10*time.Second)
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Default().Warn("stream", slog.Any("error", err)) }
	}
	return o
}

// positive gives the default where a setting is not more than zero.
func positive[T cmp.Ordered](given, initial T) T {
	var zero T
	if given > zero {
		return given
	}
	return initial
}
