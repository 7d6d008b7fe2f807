package saga

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/store"
)

// Options are the settings of a Set; the zero value works.
type Options struct {
	// Timeout bounds each attempt at an action, a compensation or a command. An attempt that does not end in time has an
	// unknown outcome. Defaults to 5 min. A Step may have its own.
	Timeout time.Duration

	// Retry says how actions and commands are tried again, CompensationRetry how compensations are. Default to 4 and to 10
	// attempts, with pauses from 1 s to 1 min. A Step may have its own.
	Retry, CompensationRetry Retry

	// NoCompensation makes a saga whose step has failed stand still as failed, for an operator to retry or compensate,
	// in place of compensating by itself. Defaults to compensating.
	NoCompensation bool

	// Retention is how long an instance stays that has ended, from its end. Then its stream and its place in the index are
	// removed; its id stays taken. It belongs to instances that start from now on. Negative keeps them for ever. Defaults
	// to 24 h.
	Retention time.Duration

	// Concurrency is how many instances are at work at the same time in this process. Defaults to 1,000.
	Concurrency int

	// Partitions is in how many parts the instances of each saga are spread over processes. It belongs to the stored
	// index: see Control.Rebuild. Defaults to 8.
	Partitions int

	// Lease is how long the instances of a process that has died wait until another one goes on. Defaults to 10 s.
	Lease time.Duration

	// PollInterval is how often the log is looked at when no wake-up comes. Defaults to 1 s.
	PollInterval time.Duration

	// Grace is how long actions that run may go on after Run was told to stop. Then their contexts end, which does not
	// count as a failure: the next owner begins them again. Defaults to 10 s.
	Grace time.Duration

	// DeadLetters takes the events that a process manager's handlers fail at for good, instead of stopping the manager.
	// Defaults to none.
	DeadLetters *deadletter.Letters

	// Hooks are told of version skew: events of another release, which a process manager cannot read. They become dead
	// letters where DeadLetters is set, else the manager stops there. Defaults to none.
	Hooks observe.Hooks

	// Owner names this process in histories and leases. Defaults to the host's name, the process id and a random part.
	Owner string

	// OnError is told of each failed attempt and of each fault of the backend; it must be safe for concurrent use. Defaults
	// to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Retry says how often and when a task is tried again. Zero fields are those of the Set's options.
type Retry struct {
	// Attempts is how often a task is tried in all. 1 means no retry.
	Attempts int

	// Initial is the pause before the second attempt; each further one is twice as long, up to Max. It is varied by a fifth.
	Initial, Max time.Duration
}

func (r Retry) or(fallback Retry) Retry {
	return Retry{
		Attempts: cmp.Or(r.Attempts, fallback.Attempts),
		Initial:  cmp.Or(r.Initial, fallback.Initial),
		Max:      cmp.Or(r.Max, fallback.Max),
	}
}

func (r Retry) validate() error {
	if r.Attempts < 0 || r.Initial < 0 || r.Max < 0 {
		return errors.New("retry: attempts and pauses must not be negative")
	}
	return nil
}

// pause is how long to wait after so many failed attempts. vary gives a number below its argument.
func (r Retry) pause(attempts int, vary func(int64) int64) time.Duration {
	pause := r.Initial
	for range attempts - 1 {
		if pause *= 2; pause >= r.Max {
			break
		}
	}
	pause = min(pause, max(r.Max, r.Initial))
	return pause*4/5 + time.Duration(vary(int64(pause)*2/5+1))
}

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Minute)
	o.Retry = o.Retry.or(Retry{Attempts: 4, Initial: time.Second, Max: time.Minute})
	o.CompensationRetry = o.CompensationRetry.or(Retry{Attempts: 10, Initial: time.Second, Max: time.Minute})
	o.Retention = cmp.Or(o.Retention, 24*time.Hour)
	o.Concurrency = cmp.Or(o.Concurrency, 1000)
	o.Partitions = cmp.Or(o.Partitions, 8)
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.PollInterval = cmp.Or(o.PollInterval, time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Warn("saga", slog.Any("error", err)) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// validate reports the faults that the subscription, which gets the other fields, does not see.
func (o Options) validate() error {
	var faults []error
	if o.Timeout < 0 {
		faults = append(faults, fmt.Errorf("timeout %v: must be positive", o.Timeout))
	}
	if o.Concurrency < 1 {
		faults = append(faults, fmt.Errorf("%d instances at work at the same time: must be at least 1", o.Concurrency))
	}
	return errors.Join(append(faults, o.Retry.validate(), o.CompensationRetry.validate())...)
}

const (
	maxNameBytes = 64
	maxIDBytes   = 128
)

// validateName reports why a name cannot be that of a saga: it is a part of stream names and of keys.
func validateName(name string) error {
	err := event.ValidateName(name)
	switch {
	case err != nil:
	case strings.ContainsAny(name, "-/ "):
		err = errors.New(`must not contain "-", "/" or spaces`)
	case len(name) > maxNameBytes:
		err = fmt.Errorf("%d bytes are over the limit of %d", len(name), maxNameBytes)
	}
	if err != nil {
		return fmt.Errorf("saga name %q: %w: %w", name, store.ErrInvalid, err)
	}
	return nil
}

func validateID(what, id string) error {
	err := event.ValidateName(id)
	if err == nil && len(id) > maxIDBytes {
		err = fmt.Errorf("%d bytes are over the limit of %d", len(id), maxIDBytes)
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w: %w", what, id, store.ErrInvalid, err)
	}
	return nil
}
