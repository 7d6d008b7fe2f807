package deadletter

import (
	"context"
	"iter"
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
func New(s *store.Store, o Options) *Letters { return &Letters{store: s, now: o.Now} }

// Filter selects letters. The fields are ANDed; an empty field does not restrict.
type Filter struct {
	Source   string // exactly this one, or with a trailing slash all below it ("projection/")
	Sequence string
	Type     string // of the event, or the header ce-type of the message
	State    State
	Before   time.Time // last failed before
	Limit    int       // at most so many; 0: no limit
}

// For the sources: what follows gives operations for the caller's own batch, so that a letter is written in one unit with a
// checkpoint, or by itself with Apply.

// Park gives the operations that park a letter, new or again. For a letter of a sequence they fail (store.RevisionError)
// if the sequence changes meanwhile; then ask again. The id is filled in.
func (l *Letters) Park(ctx context.Context, letter Letter) ([]store.Op, error) { return nil, nil }

// Blocked reports whether letters of this sequence are parked, so that later messages of it must wait behind them.
func (l *Letters) Blocked(ctx context.Context, source, sequence string) (bool, error) {
	return false, nil
}

// BlockedSequences yields the blocked sequences of a source.
func (l *Letters) BlockedSequences(ctx context.Context, source string) iter.Seq2[string, error] {
	return nil
}

// Requested yields the letters of exactly this source whose retry was asked for, first of each sequence first.
func (l *Letters) Requested(ctx context.Context, source string) iter.Seq2[Letter, error] { return nil }

// Resolved gives the operations that remove a letter which was retried with success. The next one of its sequence, if
// there is one, becomes requested in the same unit.
func (l *Letters) Resolved(ctx context.Context, letter Letter) ([]store.Op, error) { return nil, nil }

// Failed gives the operations that put a retried letter back to parked, with the new error and one more attempt.
func (l *Letters) Failed(ctx context.Context, letter Letter, cause error) ([]store.Op, error) {
	return nil, nil
}

// For operators.

// List yields letters in the order of their ids.
func (l *Letters) List(ctx context.Context, f Filter) iter.Seq2[Letter, error] { return nil }

// Get gives one letter, or store.ErrNotFound.
func (l *Letters) Get(ctx context.Context, id string) (Letter, error) { return Letter{}, nil }

// Count counts letters.
func (l *Letters) Count(ctx context.Context, f Filter) (int, error) { return 0, nil }

// Retry asks the letter's source to handle it again. For a letter that waits behind another of its sequence it gives an
// error that names the first one.
func (l *Letters) Retry(ctx context.Context, id string) error { return nil }

// Edit replaces the data of the letter's event or the body of its message, and asks for a retry. The log is not changed.
func (l *Letters) Edit(ctx context.Context, id string, data []byte) error { return nil }

// Discard removes a letter for good. Those that wait behind it become requested, as after a success.
func (l *Letters) Discard(ctx context.Context, id string) error { return nil }

// Purge discards all parked letters that failed last before the given time, and returns how many.
func (l *Letters) Purge(ctx context.Context, before time.Time) (int, error) { return 0, nil }
