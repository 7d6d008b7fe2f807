package aggregate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// ErrTruncated says that the first events of the stream were removed, and that no usable snapshot covers them.
var ErrTruncated = errcode.New(errcode.EventsMissing, "the stream's first events are truncated")

// maxHistory is how many events a load keeps in memory to rebuild the state after a conflict. Beyond it a conflict loads
// the whole aggregate again.
const maxHistory = 4096

// live is one aggregate in memory. It is used by one goroutine at a time.
type live[S any] struct {
	stream  event.StreamID
	state   S
	version event.Version // of the last stored event in state
	mark    mark
	cached  bool // came from the cache: may be behind the store

	base    []byte // the encoded snapshot that history builds on; nil: the initial state
	history []any  // the events since base; nil where there are too many, and in the cache
	partial bool   // history is not all
}

// Point is a moment in an aggregate's life: [AtVersion] or [AtTime].
type Point struct {
	version event.Version
	time    time.Time
}

// AtVersion is the moment right after the event of that version.
func AtVersion(v event.Version) Point { return Point{version: v} }

// AtTime is the moment t, as it was known to the store: all events recorded (not: occurred) up to t, inclusive.
func AtTime(t time.Time) Point { return Point{time: t} }

// String says which moment.
func (p Point) String() string {
	if p.time.IsZero() {
		return fmt.Sprintf("version %d", p.version)
	}
	return p.time.Format(time.RFC3339Nano)
}

// before reports whether an event of this version and time comes after the point; the zero Point is the end of time.
func (p Point) before(version event.Version, recorded time.Time) bool {
	return p.version > 0 && version > p.version || !p.time.IsZero() && recorded.After(p.time)
}

// load gives the aggregate as it was at a point, the zero Point being now; version 0 where there are no events.
func (e *engine[S]) load(ctx context.Context, stream event.StreamID, at Point) (*live[S], error) {
	if e.snapshots != nil {
		if l := e.snapshots.newest(ctx, stream, at); l != nil {
			return l, e.read(ctx, l, at)
		}
	}
	return e.loadEvents(ctx, stream, at)
}

// loadEvents is load without snapshots.
func (e *engine[S]) loadEvents(ctx context.Context, stream event.StreamID, at Point) (*live[S], error) {
	l := &live[S]{stream: stream, state: e.fold.initial()}
	return l, e.read(ctx, l, at)
}

// read folds the events after l.version.
func (e *engine[S]) read(ctx context.Context, l *live[S], at Point) error {
	var changes []any // of one event
	for stored, err := range e.log.store.ReadStream(ctx, store.StreamRead{Stream: l.stream, From: l.version + 1}) {
		switch {
		case err != nil:
			return err
		case stored.IsTombstone():
			return fmt.Errorf("load %s: %w", l.stream, &store.StreamDeletedError{Stream: l.stream})
		case at.before(stored.Version, stored.RecordedAt):
			return nil
		case stored.Version != l.version+1:
			return fmt.Errorf("load %s: %w: need version %d next, the oldest left is %d, and no snapshot covers what is between",
				l.stream, ErrTruncated, l.version+1, stored.Version)
		}
		if changes, err = e.log.registry.AppendDecoded(changes[:0], &stored); err != nil {
			return fmt.Errorf("load %s: %w", l.stream, err)
		}
		for _, change := range changes {
			if l.state, err = e.fold.evolve(l.state, change); err != nil {
				return fmt.Errorf("load %s: fold event %s of version %d: %w", l.stream, stored.Type, stored.Version, err)
			}
			l.remember(change)
		}
		l.version = stored.Version
		if l.mark.at.IsZero() {
			l.mark.at = stored.RecordedAt
		}
	}
	return nil
}

func (l *live[S]) remember(change any) {
	if l.partial || len(l.history) == maxHistory {
		l.history, l.partial = nil, true
		return
	}
	l.history = append(l.history, change)
}

// renew brings an aggregate whose append conflicted up to date. The decision has touched the state, so that is rebuilt
// from the events at hand; only those that came since are read.
func (e *engine[S]) renew(ctx context.Context, l *live[S], conflict error) (*live[S], error) {
	var c *store.ConflictError
	switch {
	case l.cached || l.partial:
		return e.load(ctx, l.stream, Point{})
	case errors.As(conflict, &c) && c.Actual < l.version:
		return e.loadEvents(ctx, l.stream, Point{}) // the snapshot is ahead of the log, as after restoring half a backup
	}
	state := e.fold.initial()
	var err error
	if l.base != nil {
		if state, err = e.snapshots.decode(l.base); err != nil {
			return e.loadEvents(ctx, l.stream, Point{})
		}
	}
	for _, change := range l.history {
		if state, err = e.fold.evolve(state, change); err != nil {
			return nil, fmt.Errorf("load %s: fold %T: %w", l.stream, change, err)
		}
	}
	l.state = state
	return l, e.read(ctx, l, Point{})
}

// loadAt is load for callers who name the point; it must lie within the aggregate's life.
func (e *engine[S]) loadAt(ctx context.Context, id string, at Point) (*live[S], error) {
	stream, err := e.stream(id)
	if err != nil {
		return nil, err
	}
	if at.version <= 0 && at.time.IsZero() {
		return nil, fmt.Errorf("load %s at %v: %w: must be 1 or more", stream, at, store.ErrInvalid)
	}
	l, err := e.load(ctx, stream, at)
	switch {
	case err != nil:
		return nil, err
	case l.version == 0:
		return nil, errcode.With(errcode.AggregateNotFound, fmt.Errorf("load %s at %v: %w: there are no events up to then", stream, at, store.ErrNotFound))
	case l.version < at.version:
		return nil, errcode.With(errcode.AggregateNotFound, fmt.Errorf("load %s at %v: %w: the stream is at version %d", stream, at, store.ErrNotFound, l.version))
	}
	return l, nil
}

// loadNow is load for callers who need the aggregate to exist.
func (e *engine[S]) loadNow(ctx context.Context, id string) (*live[S], error) {
	stream, err := e.stream(id)
	if err != nil {
		return nil, err
	}
	l, err := e.load(ctx, stream, Point{})
	if err != nil {
		return nil, err
	}
	if l.version == 0 {
		return nil, errcode.With(errcode.AggregateNotFound, fmt.Errorf("load %s: %w: the stream holds no events", stream, store.ErrNotFound))
	}
	return l, nil
}
