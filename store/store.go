package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
)

// Store is a backend with the policy on top: it checks input against the limits before anything is written, fills in
// defaults, calls hooks, and says in each error what was being done. It is safe for concurrent use.
type Store struct {
	backend Backend
	limits  Limits
	hooks   observe.Hooks
	now     func() time.Time
	newID   func(now time.Time) event.ID

	systemClock bool      // now is time.Now
	copier      bool      // the backend has done with a commit when its Append returns
	free        sync.Pool // of *memory

	inline atomic.Pointer[[]Inline] // nil: none
}

// Options are the settings of a Store; the zero value works.
type Options struct {
	// Limits bound what is accepted. Zero fields mean the defaults that Limits documents.
	Limits Limits

	// Hooks watch appends and reads. Defaults to none.
	Hooks observe.Hooks

	// Now gives the time for Pending.OccurredAt. Defaults to time.Now.
	Now func() time.Time

	// NewID makes ids for events that have none. Defaults to event.NewID.
	NewID func() event.ID
}

// New gives a Store over a backend. It does no I/O. The Store owns the backend: closing it closes the backend.
func New(backend Backend, o Options) *Store {
	newID := event.NewIDAt
	switch {
	case o.NewID != nil:
		newID = func(time.Time) event.ID { return o.NewID() }
	case o.Now != nil: // ids are made by the true time
		newID = func(time.Time) event.ID { return event.NewID() }
	}
	systemClock := o.Now == nil
	if systemClock {
		o.Now = time.Now
	}
	return &Store{
		backend: backend, limits: o.Limits.withDefaults(), hooks: o.Hooks, now: o.Now, newID: newID,
		systemClock: systemClock, copier: is[Copier](backend),
	}
}

// Backend gives the driver underneath, for its capabilities.
func (s *Store) Backend() Backend { return s.backend }

// Limits gives the limits in force, with the defaults filled in.
func (s *Store) Limits() Limits { return s.limits }

// Describe tells what the backend is and where it stands; it asks the server, so it serves as a health check.
func (s *Store) Describe(ctx context.Context) (Description, error) {
	d, err := s.backend.Describe(ctx)
	if err != nil {
		return Description{}, fmt.Errorf("describe the store: %w", err)
	}
	d.Capabilities = nil
	for _, c := range [...]struct {
		name string
		has  bool
	}{
		{"wake-up", is[Waker](s.backend)},
		{"transactions", is[Transactor](s.backend)},
		{"truncation", is[Truncator](s.backend)},
		{"migrations", is[Migrator](s.backend)},
		{"import", is[Importer](s.backend)},
	} {
		if c.has {
			d.Capabilities = append(d.Capabilities, c.name)
		}
	}
	return d, nil
}

// Close closes the backend. Calling it again does nothing.
func (s *Store) Close() error {
	if err := s.backend.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

// Transact runs fn in one transaction of the backend; see [Transactor]. Backends without it give ErrUnsupported.
func (s *Store) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	t, ok := s.backend.(Transactor)
	if !ok {
		return fmt.Errorf("begin a transaction: %w", ErrUnsupported)
	}
	return t.Transact(ctx, fn)
}

// Truncate removes the events of a stream whose version is lower than before; see [Truncator].
func (s *Store) Truncate(ctx context.Context, stream event.StreamID, before event.Version) (removed int64, err error) {
	t, ok := s.backend.(Truncator)
	switch {
	case !ok:
		err = ErrUnsupported
	case before < 0:
		err = invalid("version %d: must not be negative", before)
	default:
		if err = s.limits.checkStream(stream); err == nil {
			removed, err = t.Truncate(ctx, stream, before)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("truncate stream %s before version %d: %w", stream, before, err)
	}
	return removed, nil
}

// Delete ends a stream with a tombstone; see [Truncator].
func (s *Store) Delete(ctx context.Context, stream event.StreamID, expected Expected) (res Result, err error) {
	t, ok := s.backend.(Truncator)
	if !ok {
		err = ErrUnsupported
	} else if err = s.limits.checkStream(stream); err == nil {
		if err = expected.validate(); err == nil {
			res, err = t.Delete(ctx, stream, expected)
		}
	}
	if err != nil {
		return Result{}, fmt.Errorf("delete stream %s: %w", stream, err)
	}
	return res, nil
}

func is[T any](b Backend) bool {
	_, ok := b.(T)
	return ok
}
