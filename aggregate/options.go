package aggregate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

// Options are the settings of a Repository or Decider; the zero value works.
type Options struct {
	// Retry says how often Update and Decider.Decide try. See Retry for the defaults.
	Retry Retry

	// Snapshots turns snapshots on; &Snapshots{} takes one every 100 events. Defaults to nil: no snapshots.
	Snapshots *Snapshots

	// Cache is how many aggregates Update and Decider.Decide keep live in this process; the least recently used go
	// first. A cached one is trusted until an append conflicts or a decision fails, and then loaded again: a command on
	// a hot aggregate costs one append and no read. Defaults to 0: no cache.
	Cache int

	// CacheTTL is how long an aggregate stays in the cache that is not used. Defaults to 0: until others push it out.
	CacheTTL time.Duration

	// Now is the clock of snapshots and of the cache. Defaults to time.Now.
	Now func() time.Time

	// NewID makes the ids of events. Defaults to event.NewID.
	NewID func() event.ID
}

// Snapshots says when to keep the state of an aggregate, so that loading reads only the events after it. They are
// written after events have been stored; a failure of that is reported, and fails nothing.
type Snapshots struct {
	// Version is the version of the shape of the state. Raise it with every change of the struct or of how it is
	// folded: snapshots of other versions are ignored. Defaults to 1.
	Version int

	// Bucket begins the names of the buckets of records that hold the snapshots; "-" and the category follow. Defaults to
	// "snapshot".
	Bucket string

	// Every takes a snapshot when so many events were stored since the last one. Negative: never by count. Defaults
	// to 100.
	Every int

	// MaxAge takes a snapshot when events are stored and the last snapshot, or without one the first event, is at least
	// so old. Defaults to 0: never by age.
	MaxAge time.Duration

	// Keep is how many snapshots of each aggregate to keep; older ones are deleted. Defaults to 5.
	Keep int

	// Codec encodes the state. Defaults to schema.JSON, which sees exported fields alone; a state with unexported ones
	// is refused at start-up unless it implements json.Marshaler, because its snapshots would lose them.
	Codec schema.Codec

	// OnError is told of each snapshot that could not be written, read or decoded; it must be safe for concurrent use.
	// Defaults to a warning in slog.Default().
	OnError func(ctx context.Context, stream event.StreamID, err error)
}

func (o Options) withDefaults() Options {
	o.Retry = o.Retry.withDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = event.NewID
	}
	if o.Snapshots != nil {
		s := o.Snapshots.withDefaults()
		o.Snapshots = &s
	}
	return o
}

func (s Snapshots) withDefaults() Snapshots {
	if s.Version == 0 {
		s.Version = 1
	}
	if s.Bucket == "" {
		s.Bucket = "snapshot"
	}
	if s.Every == 0 {
		s.Every = 100
	}
	if s.Keep == 0 {
		s.Keep = 5
	}
	if s.Codec == nil {
		s.Codec = schema.JSON{}
	}
	if s.OnError == nil {
		s.OnError = func(ctx context.Context, stream event.StreamID, err error) {
			slog.WarnContext(ctx, "snapshot", slog.String("stream", string(stream)), slog.Any("error", err))
		}
	}
	return s
}

func (o Options) validate() error {
	var cache, snapshots error
	if o.Cache < 0 || o.CacheTTL < 0 {
		cache = errors.New("cache: size and time must not be negative")
	}
	if s := o.Snapshots; s != nil && (s.Version < 1 || s.Keep < 1 || s.MaxAge < 0) {
		snapshots = errors.New("snapshots: version and keep must be at least 1, and the age must not be negative")
	}
	return errors.Join(o.Retry.validate(), cache, snapshots)
}
