package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"lexigram.dev/events/store"
)

// Options are the settings of a Backend; the zero value works.
type Options struct {
	// Name is the name of the store among others on the server: letters, digits, dots, dashes and underscores. All its
	// keys begin with it in braces. Defaults to "lexigram".
	Name string

	// AutoMigrate makes the store if it is not there: in Open, or at the first use of a Backend made by New. Defaults to
	// false: a missing store is store.ErrIncompatible.
	AutoMigrate bool

	// ReadOnly refuses every write with store.ErrReadOnly, and accepts a replica. Defaults to false: opening a replica
	// is store.ErrReadOnly.
	ReadOnly bool

	// Pending accepts a store that is missing or of another version, for Migrations and Migrate alone. Defaults to false.
	Pending bool

	// RequireDurable refuses a server on which an acknowledged append could be lost by a crash: one without appendonly,
	// with an appendfsync other than always, with a maxmemory-policy that may evict, or one that does not tell. Defaults
	// to false: OnWarning is called.
	RequireDurable bool

	// OnWarning is told once, at opening, in which way the server is not durable. Defaults to slog.Default().Warn.
	OnWarning func(text string)

	// WaitReplicas is by how many replicas every append and every write of records is to be received before it is
	// acknowledged. When fewer confirm within WaitTimeout, the write has been stored by the primary, and the error is a
	// *ReplicationError. Defaults to 0: replicas are not waited for.
	WaitReplicas int

	// WaitTimeout bounds the wait for replicas. Defaults to 1 second.
	WaitTimeout time.Duration

	// ReconnectFor is how long appends wait for a server that was lost, say while it restarts, before they fail with
	// store.ErrUnavailable. Their contexts may end sooner. A server that was never reached is not waited for. Defaults
	// to 10 seconds.
	ReconnectFor time.Duration
}

var storeName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "lexigram")
	o.WaitTimeout = cmp.Or(o.WaitTimeout, time.Second)
	o.ReconnectFor = cmp.Or(o.ReconnectFor, 10*time.Second)
	if o.OnWarning == nil {
		o.OnWarning = func(text string) { slog.Default().Warn(text) }
	}
	return o
}

func (o Options) validate() error {
	var faults []error
	if !storeName.MatchString(o.Name) {
		faults = append(faults, fmt.Errorf("name %q: must be 1 to 64 letters, digits, dots, dashes and underscores", o.Name))
	}
	if o.WaitReplicas < 0 {
		faults = append(faults, fmt.Errorf("wait for %d replicas: must not be negative", o.WaitReplicas))
	}
	if o.WaitTimeout < time.Millisecond {
		faults = append(faults, fmt.Errorf("wait timeout %v: must be at least 1ms", o.WaitTimeout))
	}
	if o.ReconnectFor < 0 {
		faults = append(faults, fmt.Errorf("reconnect for %v: must not be negative", o.ReconnectFor))
	}
	if o.AutoMigrate && (o.ReadOnly || o.Pending) {
		faults = append(faults, errors.New("AutoMigrate excludes ReadOnly and Pending"))
	}
	if err := errors.Join(faults...); err != nil {
		return &kindError{kind: store.ErrInvalid, err: err}
	}
	return nil
}
