package redisbroker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"lexigram.dev/events/broker"
)

// Options are the settings of a Backend; the zero value works.
type Options struct {
	// Prefix begins the names of all keys: letters, digits, dots, dashes and underscores. Programs that share topics must
	// agree on it. Defaults to "lexigram".
	Prefix string

	// Partitions is how many partitions a topic gets when it is made: so many members of a group can handle messages with
	// keys at the same time. A topic keeps the number that it was made with. Defaults to 8; at most 256.
	Partitions int

	// Lease is how long a member that gives no sign of life keeps what it holds; members renew it three times as often.
	// Defaults to 10 s; at least 100 ms.
	Lease time.Duration

	// Retain is how many of its newest messages each stream of a topic keeps although every group has acknowledged them,
	// for groups that begin with the oldest (broker.Group's FromStart), and for topics without a group. Streams are trimmed
	// now and then, and by whole nodes of the server's, so they hold more for a while. Defaults to 1,000; negative: none.
	Retain int

	// MaxLen cuts each stream of a topic to about so many messages when this program publishes, READ OR NOT: groups lose
	// what they have not handled by then. Defaults to 0: what a group needs is never cut.
	MaxLen int

	// MaxAge removes messages older than this when this program publishes or consumes, READ OR NOT. Defaults to 0: never.
	MaxAge time.Duration

	// RequireDurable refuses a server on which a confirmed message could be lost by a crash: one without appendonly, with
	// an appendfsync other than always, with a maxmemory-policy that may evict, or one that does not tell. Defaults to
	// false: OnWarning is called.
	RequireDurable bool

	// OnWarning is told, at opening, in which way the server is not durable. Defaults to slog.Default().Warn.
	OnWarning func(text string)

	// WaitReplicas is by how many replicas messages are to be received before they are confirmed. When fewer have them
	// within WaitTimeout, the primary has stored the messages, and their error is a *ReplicationError. Defaults to 0.
	WaitReplicas int

	// WaitTimeout bounds the wait for replicas. Defaults to 1 second.
	WaitTimeout time.Duration
}

const (
	defaultPartitions = 8
	maxPartitions     = 256
	defaultRetain     = 1000
	minLease          = 100 * time.Millisecond
)

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (o Options) withDefaults() Options {
	o.Prefix = cmp.Or(o.Prefix, "lexigram")
	o.Partitions = cmp.Or(o.Partitions, defaultPartitions)
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.Retain = max(0, cmp.Or(o.Retain, defaultRetain))
	o.WaitTimeout = cmp.Or(o.WaitTimeout, time.Second)
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
	fault(!prefixForm.MatchString(o.Prefix), "prefix %q: must be 1 to 64 letters, digits, dots, dashes and underscores", o.Prefix)
	fault(o.Partitions < 1 || o.Partitions > maxPartitions, "%d partitions: must be 1 to %d", o.Partitions, maxPartitions)
	fault(o.Lease < minLease, "lease %v: must be at least %v", o.Lease, minLease)
	fault(o.MaxLen < 0, "maximal length %d: must not be negative", o.MaxLen)
	fault(o.MaxAge < 0 || o.MaxAge > 0 && o.MaxAge < time.Millisecond, "maximal age %v: must be at least 1ms", o.MaxAge)
	fault(o.WaitReplicas < 0, "wait for %d replicas: must not be negative", o.WaitReplicas)
	fault(o.WaitTimeout < time.Millisecond, "wait timeout %v: must be at least 1ms", o.WaitTimeout)
	if err := errors.Join(faults...); err != nil {
		return &kindError{kind: broker.ErrInvalid, err: err}
	}
	return nil
}
