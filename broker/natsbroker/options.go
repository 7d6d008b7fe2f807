package natsbroker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"

	"lexigram.dev/events/broker"
)

// Options are the settings of a Backend; the zero value works. Those from Stream to MaxBytes describe the stream: they
// are used when it is made, and a stream that exists keeps what it was made with.
type Options struct {
	// Stream is the name of the JetStream stream that holds all topics: letters, digits, dashes and underscores. Defaults
	// to "lexigram".
	Stream string

	// Prefix begins all subjects, in parts divided by dots. A topic's messages have the subjects <prefix>.<topic>.<n> for
	// partition n, and <prefix>.<topic>.any without a key. Defaults to "lexigram".
	Prefix string

	// NoCreate refuses, with broker.ErrRefused, to make a stream or the bucket of the groups' members where they are
	// missing: for programs that may not. Defaults to false: they are made.
	NoCreate bool

	// Partitions is into how many the keys of each topic are divided: so many members of a group can handle messages with
	// keys at the same time. Written into the stream's metadata, where all programs find it. Defaults to 8; at most 256.
	Partitions int

	// Lease is how long a member that gives no sign of life keeps the partitions it holds. Messages without a key go to
	// others after a third of it. Written into the stream's metadata. Defaults to 10 s; at least 1 s.
	Lease time.Duration

	// Retention says when the stream lets go of messages. Defaults to Limits.
	Retention Retention

	// Replicas is how many servers of a cluster keep the stream. Defaults to 1; at most 5.
	Replicas int

	// InMemory keeps the stream in the servers' memory instead of files. Defaults to false.
	InMemory bool

	// MaxAge removes older messages, READ OR NOT: groups lose what they have not handled by then. Defaults to 0: never.
	MaxAge time.Duration

	// MaxBytes bounds the stream; a publisher gets broker.ErrFull when it is reached, nothing that is stored is removed.
	// Defaults to 0: the server's own limit.
	MaxBytes int64

	// Dedupe is for how long the server remembers the ids of a topic's messages: a message published again within that
	// time is confirmed and not stored. Defaults to 2 minutes; negative: none.
	Dedupe time.Duration

	// MaxDeliver is the server's own limit of deliveries, a net below broker.ConsumerOptions.MaxDeliveries for consumers
	// of other programs. Beware: JetStream does not deliver a message again that has reached it, and tells only by an
	// advisory. Defaults to 0: none. Else at least 100; used when a group is declared.
	MaxDeliver int

	// SyncAlways says that the server runs with sync_interval: always, which a client cannot find out: Describe then says
	// that confirmed messages are on disk, and there is no warning. Defaults to false.
	SyncAlways bool

	// OnWarning is told, at opening, in which way confirmed messages could be lost. Defaults to slog.Default().Warn.
	OnWarning func(text string)

	// Timeout bounds the wait for each answer of the server; see broker.ErrUnavailable. Defaults to 5 s.
	Timeout time.Duration

	// Client are further settings of the connection, such as nats.InProcessServer or nats.RootCAs. Those that concern
	// reconnecting and error handlers are the driver's own.
	Client []nats.Option
}

// Retention says when a stream lets go of messages.
type Retention uint8

const (
	// Limits keeps all messages, also those that were handled, until MaxAge or MaxBytes: new groups can begin with the
	// oldest. Without MaxAge the stream grows until the server's disk limit makes publishers fail.
	Limits Retention = iota
	// Interest keeps a message until every group of its topic has handled it, and one for no group not at all. A group
	// that nobody consumes any more keeps everything: remove it with RemoveGroup.
	Interest
	// WorkQueue keeps a message until it was handled, also where no group was declared yet: a new group gets it. A topic
	// has one group.
	WorkQueue
)

const (
	maxPartitions = 256
	minMaxDeliver = 100
)

var (
	streamForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,3}$`)
)

func (o Options) withDefaults() Options {
	o.Stream = cmp.Or(o.Stream, "lexigram")
	o.Prefix = cmp.Or(o.Prefix, "lexigram")
	o.Partitions = cmp.Or(o.Partitions, 8)
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.Dedupe = max(-1, cmp.Or(o.Dedupe, 2*time.Minute))
	if o.MaxAge > 0 && o.Dedupe > 0 { // JetStream insists
		o.Dedupe = min(o.Dedupe, o.MaxAge)
	}
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	if o.OnWarning == nil {
		o.OnWarning = func(text string) { slog.Default().Warn(text) }
	}
	return o
}

func (o Options) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(!streamForm.MatchString(o.Stream), "stream %q: must be 1 to 64 letters, digits, dashes and underscores", o.Stream)
	fault(!prefixForm.MatchString(o.Prefix), "prefix %q: must be letters, digits, dashes and underscores, in up to 4 parts divided by dots", o.Prefix)
	fault(o.Partitions < 1 || o.Partitions > maxPartitions, "%d partitions: must be 1 to %d", o.Partitions, maxPartitions)
	fault(o.Lease < time.Second, "lease %v: must be at least 1s", o.Lease)
	fault(o.Retention > WorkQueue, "retention %d: unknown", o.Retention)
	fault(o.Replicas < 1 || o.Replicas > 5, "%d replicas: must be 1 to 5", o.Replicas)
	fault(o.MaxAge < 0 || o.MaxAge > 0 && o.MaxAge < 100*time.Millisecond, "maximal age %v: must be at least 100ms", o.MaxAge)
	fault(o.MaxBytes < 0, "maximal size of %d bytes: must not be negative", o.MaxBytes)
	fault(o.Dedupe > 0 && o.Dedupe < 100*time.Millisecond, "dedupe %v: must be at least 100ms", o.Dedupe)
	fault(o.MaxDeliver != 0 && o.MaxDeliver < minMaxDeliver, "%d deliveries: must be at least %d", o.MaxDeliver, minMaxDeliver)
	fault(o.Timeout < time.Millisecond, "timeout %v: must be at least 1ms", o.Timeout)
	if err := errors.Join(faults...); err != nil {
		return &kindError{kind: broker.ErrInvalid, err: err}
	}
	return nil
}
