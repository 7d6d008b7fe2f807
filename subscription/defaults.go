package subscription

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

const (
	maxPartitions = 1024
	maxNameBytes  = 128 // so that names fit into keys, together with what stands beside them
)

func (o Options) withDefaults(name string) Options {
	o.Partitions = cmp.Or(o.Partitions, 1)
	o.BatchEvents = cmp.Or(o.BatchEvents, 1000)
	o.CheckpointEvery = cmp.Or(o.CheckpointEvery, 100)
	o.CheckpointInterval = cmp.Or(o.CheckpointInterval, time.Second)
	o.PollInterval = cmp.Or(o.PollInterval, time.Second)
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.StalledAfter = cmp.Or(o.StalledAfter, time.Minute)
	o.Source = cmp.Or(o.Source, defaultSource(name))
	o.Retry.Attempts = cmp.Or(o.Retry.Attempts, 4)
	o.Retry.Initial = cmp.Or(o.Retry.Initial, 100*time.Millisecond)
	o.Retry.Max = cmp.Or(o.Retry.Max, 10*time.Second)
	if o.Owner == "" {
		host, _ := os.Hostname() // without it the rest still tells processes apart
		o.Owner = fmt.Sprintf("%s/%d/%08x", cmp.Or(host, "unknown"), os.Getpid(), rand.Uint32())
	}
	if o.Failure == FailureDefault {
		o.Failure = FailureStop
		if o.DeadLetters != nil {
			o.Failure = FailurePark
		}
	}
	if o.Skew == FailureDefault {
		o.Skew = FailureStop
		if o.DeadLetters != nil {
			o.Skew = FailureParkStream
		}
	}
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Warn("subscription", slog.String("name", name), slog.Any("error", err)) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// defaultSource names a subscription in dead letters.
func defaultSource(name string) string { return "subscription/" + name }

// ordersLetters reports whether later events of a stream wait behind one that is parked.
func (o *Options) ordersLetters() bool {
	return o.Failure == FailureParkStream || o.Skew == FailureParkStream
}

// validate reports all faults of options with defaults.
func (o Options) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	if err := o.Filter.Validate(); err != nil {
		faults = append(faults, err)
	}
	check(o.Start.after >= 0, "start after position %d: must not be negative", o.Start.after)
	check(o.Partitions > 0 && o.Partitions <= maxPartitions, "%d partitions: must be 1 to %d", o.Partitions, maxPartitions)
	check(o.BatchEvents > 0, "batches of %d events: must be at least 1", o.BatchEvents)
	check(o.CheckpointEvery > 0, "a checkpoint every %d events: must be at least 1", o.CheckpointEvery)
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"checkpoint interval", o.CheckpointInterval},
		{"poll interval", o.PollInterval},
		{"lease", o.Lease},
		{"grace", o.Grace},
		{"stalled after", o.StalledAfter},
		{"retry: initial pause", o.Retry.Initial},
		{"retry: longest pause", o.Retry.Max},
	} {
		check(d.d > 0, "%s %v: must be positive", d.name, d.d)
	}
	check(o.Retry.Attempts > 0, "retry: %d attempts: must be at least 1", o.Retry.Attempts)
	check(o.Failure <= FailureParkStream, "failure policy %d: unknown", o.Failure)
	check(o.Failure != FailurePark && o.Failure != FailureParkStream || o.DeadLetters != nil, "failure policy: parking needs dead letters")
	check(o.Skew == FailureStop || o.Skew == FailureParkStream, "version skew: policy %d: must be FailureStop or FailureParkStream", o.Skew)
	check(o.Skew != FailureParkStream || o.DeadLetters != nil, "version skew: parking needs dead letters")
	for what, name := range map[string]string{"owner": o.Owner, "source": o.Source} {
		err := event.ValidateName(name)
		check(err == nil, "%s %q: %v", what, name, err)
	}
	return errors.Join(faults...)
}

// validateName reports why a name cannot be that of a subscription.
func validateName(name string) error {
	err := event.ValidateName(name)
	switch {
	case err != nil:
	case strings.Contains(name, "/"):
		err = errors.New(`must not contain "/"`)
	case len(name) > maxNameBytes:
		err = fmt.Errorf("%d bytes are over the limit of %d", len(name), maxNameBytes)
	}
	if err != nil {
		return fmt.Errorf("name %q: %w", name, err)
	}
	return nil
}

// invalid makes an error a store.ErrInvalid.
func invalid(err error) error {
	if err == nil || errors.Is(err, store.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrInvalid, err)
}
