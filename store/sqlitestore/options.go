package sqlitestore

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"lexigram.dev/events/store"
)

// Synchronous says when SQLite flushes to the disk.
type Synchronous uint8

const (
	// Full flushes the write-ahead log at each commit: what an append has acknowledged survives a loss of power.
	Full Synchronous = iota

	// Normal flushes at checkpoints only. A loss of power may take the newest commits, never the middle of one, and the
	// file stays whole; a process that dies, however it dies, loses nothing.
	Normal
)

// String gives the name as in a store URL.
func (s Synchronous) String() string {
	if s == Normal {
		return "normal"
	}
	return "full"
}

// Options are the settings of a SQLite store; the zero value opens an existing store for reading and writing.
type Options struct {
	// AutoMigrate creates the file, its folder and its tables where they are missing, and brings older tables up to
	// date. Defaults to false: a missing or older store is an error that says what to run.
	AutoMigrate bool

	// ReadOnly opens for reading only; writes give store.ErrReadOnly. Defaults to false.
	ReadOnly bool

	// Pending opens a store that is missing or old without complaint, for Migrations and Migrate alone: all other calls
	// give store.ErrIncompatible. Defaults to false.
	Pending bool

	// Synchronous says when commits are flushed to the disk. Defaults to Full. With group commit Full is faster than
	// most stores without it are at Normal.
	Synchronous Synchronous

	// BusyTimeout bounds the wait for another process that holds the file's write lock; after it the call gives
	// store.ErrUnavailable. A call's context may end the wait sooner. Defaults to 5 s.
	BusyTimeout time.Duration

	// Readers is how many reads may run at once, each on a connection of its own, opened when first needed. Further
	// reads wait. Defaults to 4, or the number of processors if that is more.
	Readers int

	// CacheSize is SQLite's cache_size of the connections that read: pages, or KiB where it is negative. The writer has a
	// cache of its own. Defaults to 0: what SQLite has, 2 MB.
	CacheSize int

	// Now is the clock of recorded-at times and of the expiry of records. Defaults to time.Now.
	Now func() time.Time

	// checkpointPages is smaller in tests than anybody would want it.
	checkpointPages int64
}

func (o Options) withDefaults() Options {
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Readers == 0 {
		o.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.checkpointPages == 0 {
		o.checkpointPages = checkpointPages
	}
	return o
}

func (o Options) validate() error {
	var faults []error
	invalid := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{store.ErrInvalid}, args...)...))
	}
	if o.Synchronous > Normal {
		invalid("synchronous %d: must be Full or Normal", o.Synchronous)
	}
	if o.BusyTimeout < 0 {
		invalid("busy timeout %v: must not be negative", o.BusyTimeout)
	}
	if o.Readers < 0 {
		invalid("%d readers: must not be negative", o.Readers)
	}
	if o.ReadOnly && o.AutoMigrate {
		invalid("read-only and auto-migrate exclude each other")
	}
	return errors.Join(faults...)
}
