package mongostore

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"time"

	"lexigram.dev/events/store"
)

// Options are the settings of a Backend; the zero value works.
type Options struct {
	// Database is the name of the database that holds the store. Defaults to "lexigram".
	Database string

	// Prefix begins the names of the store's collections: Prefix + "_commits" and so on. Letters, digits and underscores.
	// Stores with different prefixes may share a database. Defaults to "lexigram".
	Prefix string

	// AutoMigrate creates the collections and their indexes, or brings them up to date: in Open, or at the first use of a
	// Backend made by New. Defaults to false: a missing or older store is store.ErrIncompatible.
	AutoMigrate bool

	// ReadOnly refuses every write with store.ErrReadOnly. Defaults to false.
	ReadOnly bool

	// Pending accepts a store that is missing or of another version, for Migrations and Migrate alone. Defaults to false.
	Pending bool

	// ReconnectFor is how long appends and writes of records wait for a server that was lost, say while another one
	// becomes the primary, before they fail with store.ErrUnavailable. Their contexts may end sooner. Defaults to
	// 10 seconds.
	ReconnectFor time.Duration

	// PollInterval is how often the log is looked at for followers, on servers that have no change streams. Defaults to
	// 100 milliseconds.
	PollInterval time.Duration
}

var validName = regexp.MustCompile(`^[A-Za-z0-9_]{1,48}$`)

func (o Options) withDefaults() Options {
	o.Database = cmp.Or(o.Database, "lexigram")
	o.Prefix = cmp.Or(o.Prefix, "lexigram")
	o.ReconnectFor = cmp.Or(o.ReconnectFor, 10*time.Second)
	o.PollInterval = cmp.Or(o.PollInterval, 100*time.Millisecond)
	return o
}

func (o Options) validate() error {
	var faults []error
	for what, name := range map[string]string{"database": o.Database, "prefix": o.Prefix} {
		if !validName.MatchString(name) {
			faults = append(faults, fmt.Errorf("%s %q: must be letters, digits and underscores, at most 48", what, name))
		}
	}
	if o.ReconnectFor < 0 || o.PollInterval < 0 {
		faults = append(faults, fmt.Errorf("reconnect for %v, poll interval %v: must not be negative", o.ReconnectFor, o.PollInterval))
	}
	if o.AutoMigrate && (o.ReadOnly || o.Pending) {
		faults = append(faults, errors.New("AutoMigrate excludes ReadOnly and Pending"))
	}
	if err := errors.Join(faults...); err != nil {
		return &kindError{kind: store.ErrInvalid, err: err}
	}
	return nil
}
