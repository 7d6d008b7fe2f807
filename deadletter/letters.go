package deadletter

import (
	"time"

	"lexigram.dev/events/store"
)

// Letters are the dead letters of a store. It is safe for concurrent use, also by several processes.
type Letters struct {
	store *store.Store
	now   func() time.Time
}

// Options are the settings of Letters; the zero value works.
type Options struct {
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// New gives the dead letters of a store. It does no I/O.
func New(s *store.Store, o Options) *Letters {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Letters{store: s, now: o.Now}
}

// time is now as letters keep it: in UTC, to the microsecond.
func (l *Letters) time() time.Time { return l.now().UTC().Truncate(time.Microsecond) }
