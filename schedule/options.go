package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Options are the settings of a Scheduler; the zero value works for events that are given as event.Pending.
type Options struct {
	// Schema is the registry of the types of events and commands: it says under which name they are stored. Defaults to an
	// empty one.
	Schema *schema.Registry

	// Commands takes the commands when they are due; a *command.Bus is one. Without it commands are refused. Defaults to none.
	Commands Dispatcher

	// Cron reads cron expressions; use cron.Parse of package schedule/cron. Without it Every is refused. Defaults to none.
	Cron func(expression, zone string) (Recurrence, error)

	// DeadLetters takes what cannot be delivered, under the source "schedule". Defaults to those of the store.
	DeadLetters *deadletter.Letters

	// Attempts is how often a delivery is tried in all before it is a dead letter. 1 means no retry. An event that the store
	// cannot take for want of a connection or of space is tried for ever. Defaults to 10.
	Attempts int

	// InitialPause is the pause before the second attempt; each further one is twice as long, up to MaxPause. It is varied
	// by a fifth. Default to 1 s and to 10 min.
	InitialPause, MaxPause time.Duration

	// Timeout bounds each attempt at a command. Defaults to 1 min.
	Timeout time.Duration

	// Concurrency is how many commands of each of the eight partitions are handled at the same time. Defaults to 16.
	Concurrency int

	// Lease is how long the deliveries of a process that has died wait until another one goes on. Defaults to 10 s.
	Lease time.Duration

	// PollInterval is how often each partition is looked at for deliveries that other processes, or transactions, have
	// scheduled for earlier than what is waited for. So these may be late by as much. Defaults to 1 s.
	PollInterval time.Duration

	// Grace is how long handlers that run may go on after Run was told to stop. Then their contexts end, which does not
	// count as an attempt. Defaults to 10 s.
	Grace time.Duration

	// Owner names this process in leases and lists. Defaults to the host's name, the process id and a random part.
	Owner string

	// OnError is told of each failed attempt and of each fault of the backend; it must be safe for concurrent use. Defaults
	// to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock by which deliveries are due. Defaults to time.Now.
	Now func() time.Time
}

// Dispatcher sends a command, whose type is known only at run time, to its handler.
type Dispatcher interface {
	Dispatch(ctx context.Context, command any) (any, error)
}

// Recurrence gives the times of a delivery that is made again and again.
type Recurrence interface {
	// Next gives the first time after another one; zero: there is none.
	Next(after time.Time) time.Time
}

func (o Options) withDefaults(s *store.Store) Options {
	if o.Schema == nil {
		o.Schema = schema.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.DeadLetters == nil {
		o.DeadLetters = deadletter.New(s, deadletter.Options{Now: o.Now})
	}
	o.Attempts = cmp.Or(o.Attempts, 10)
	o.InitialPause = cmp.Or(o.InitialPause, time.Second)
	o.MaxPause = cmp.Or(o.MaxPause, max(10*time.Minute, o.InitialPause))
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.Concurrency = cmp.Or(o.Concurrency, 16)
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.PollInterval = cmp.Or(o.PollInterval, time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	host, _ := os.Hostname() // without it the rest still tells processes apart
	o.Owner = cmp.Or(o.Owner, fmt.Sprintf("%s/%d/%08x", cmp.Or(host, "unknown"), os.Getpid(), rand.Uint32()))
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Warn("schedule", slog.Any("error", err)) }
	}
	return o
}

func (o Options) validate() error {
	var faults []error
	if o.Attempts < 1 || o.Concurrency < 1 {
		faults = append(faults, fmt.Errorf("%d attempts, %d commands at the same time: must be at least 1", o.Attempts, o.Concurrency))
	}
	if o.InitialPause < 0 || o.MaxPause < o.InitialPause {
		faults = append(faults, fmt.Errorf("pauses from %v to %v: need 0 ≤ initial ≤ longest", o.InitialPause, o.MaxPause))
	}
	if o.Timeout < 0 || o.Lease < 0 || o.PollInterval < 0 || o.Grace < 0 {
		faults = append(faults, errors.New("timeout, lease, poll interval and grace must be positive"))
	}
	return errors.Join(faults...)
}

// pause is how long to wait after so many failed attempts.
func (o *Options) pause(attempts int) time.Duration {
	pause := o.InitialPause
	for range attempts - 1 {
		if pause *= 2; pause >= o.MaxPause {
			break
		}
	}
	pause = min(pause, o.MaxPause)
	return pause*4/5 + time.Duration(rand.Int64N(int64(pause)*2/5+1))
}
