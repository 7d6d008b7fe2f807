package subscription

import (
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Options are the settings of a Subscription; the zero value works.
type Options struct {
	// Filter selects the events, in the backend. Events that it leaves out move the checkpoint too. Defaults to all.
	Filter store.Filter

	// Start is where a subscription begins that has no checkpoint yet. Defaults to FromStart.
	Start Start

	// Partitions is how many parts of the streams are handled at the same time. It belongs to the name: running with
	// another number than the checkpoints were written with is refused. Defaults to 1.
	Partitions int

	// BatchEvents is the greatest number of events in a batch. Defaults to 1000.
	BatchEvents int

	// CheckpointEvery and CheckpointInterval say when the checkpoint is written for a processor that does not commit it
	// itself: after so many events, and at the latest after so long. Default to 100 and 1 s.
	CheckpointEvery    int
	CheckpointInterval time.Duration

	// PollInterval is how often the log is looked at when no wake-up comes; and how soon requests from outside (pause,
	// retry of a dead letter) are seen. Defaults to 1 s.
	PollInterval time.Duration

	// Lease is how long a partition stays with a process that does not renew. After a crash others (or the restarted
	// process) wait so long. Defaults to 10 s.
	Lease time.Duration

	// Grace is how long the batch at hand may go on after Run was told to stop; then its context is cancelled, which does
	// not count as a failure. Defaults to 10 s.
	Grace time.Duration

	// StalledAfter is how long a checkpoint may stand still, while there are events to handle, before the status says
	// so. Defaults to 1 min.
	StalledAfter time.Duration

	// Owner names this process in leases and reports. Defaults to the host's name, the process id and a random part.
	Owner string

	// Retry says how a failed event is tried again before Failure applies.
	Retry Retry

	// Failure says what becomes of an event that fails for good. Defaults to Park when DeadLetters is set, else to Stop.
	Failure Failure

	// Skew says what becomes of an event that cannot be decoded since another release of the program wrote it (an unknown
	// type, or a newer version of a known one; see schema.SkewOf). It is not retried. FailureParkStream makes it a dead
	// letter, with later events of the same stream behind it, and all other streams go on; they are handled, in order, by
	// a release that can read them, as soon as one runs. FailureStop stops the partition. Types that Filter leaves out are
	// not concerned. Defaults to FailureParkStream when DeadLetters is set, else to FailureStop.
	Skew Failure

	// Known is what the processor knows, where it does not find out itself by decoding: events of other types and newer
	// versions are not given to it. Defaults to nil: all are.
	Known schema.Known

	// Hooks are told of version skew. Defaults to none.
	Hooks observe.Hooks

	// DeadLetters is where events are parked. Required for Park and ParkStream.
	DeadLetters *deadletter.Letters

	// Source names the subscription in dead letters. Defaults to "subscription/" and its name.
	Source string

	// OnError is told of each failed attempt and of each fault of the backend; it must be safe for concurrent use.
	// Defaults to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock of reports. Defaults to time.Now.
	Now func() time.Time
}

// Retry says how often and when a failed event is tried again.
type Retry struct {
	// Attempts is how often an event is tried in all. Defaults to 4.
	Attempts int

	// Initial is the pause before the second attempt; each further one is twice as long, up to Max, and varied by a
	// fifth. Default to 100 ms and 10 s.
	Initial, Max time.Duration
}

// Failure is what becomes of an event that has failed for good.
type Failure uint8

// The failure policies.
const (
	FailureDefault    Failure = iota
	FailureStop               // the partition stops there, and the subscription is faulted: Run returns the error
	FailurePark               // the event becomes a dead letter, and all others go on
	FailureParkStream         // as FailurePark, and later events of the same stream wait in the dead letters behind it
)

// Start is a place to begin.
type Start struct {
	kind  startKind
	after event.Position
}

type startKind uint8

const (
	startFirst startKind = iota
	startAfter
	startNow
)

// FromStart begins with the first event.
func FromStart() Start { return Start{} }

// After begins with the first event behind position p.
func After(p event.Position) Start { return Start{kind: startAfter, after: p} }

// FromNow begins with the first event that is appended after the subscription has run for the first time.
func FromNow() Start { return Start{kind: startNow} }
