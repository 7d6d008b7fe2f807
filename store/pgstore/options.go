package pgstore

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
	// Schema is the PostgreSQL schema that holds the store: a lower-case name of letters, digits and underscores. It is
	// also the name of the NOTIFY channel. Defaults to "lexigram".
	Schema string

	// AutoMigrate creates the schema and its tables, or brings them up to date: in Open, or at the first use of a
	// Backend made by New. Defaults to false: a missing or older schema is store.ErrIncompatible.
	AutoMigrate bool

	// ReadOnly refuses every write with store.ErrReadOnly. Defaults to false.
	ReadOnly bool

	// Pending accepts a schema that is missing or of another version, for Migrations and Migrate alone. Defaults to
	// false.
	Pending bool

	// AppendMode is how batches of appends reach the server. Defaults to Copy.
	AppendMode AppendMode

	// ReconnectFor is how long appends wait for a server that was lost, say while it restarts, before they fail with
	// store.ErrUnavailable. Their contexts may end sooner. A server that was never reached is not waited for. Defaults
	// to 10 seconds.
	ReconnectFor time.Duration
}

// AppendMode is a way to send a batch of appends.
type AppendMode uint8

const (
	// Copy checks a batch and copies it in by one write on a connection of its own: the fastest.
	Copy AppendMode = iota
	// Function calls one SQL function for each batch, in a transaction on a connection of the pool. It works through
	// poolers that give each transaction another connection. About half as fast as Copy.
	Function
)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (o Options) withDefaults() Options {
	o.Schema = cmp.Or(o.Schema, "lexigram")
	o.ReconnectFor = cmp.Or(o.ReconnectFor, 10*time.Second)
	return o
}

func (o Options) validate() error {
	var faults []error
	if !schemaName.MatchString(o.Schema) {
		faults = append(faults, fmt.Errorf("schema %q: must be a lower-case name of letters, digits and underscores, at most 63 long", o.Schema))
	}
	if o.AppendMode > Function {
		faults = append(faults, fmt.Errorf("append mode %d: unknown", o.AppendMode))
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
