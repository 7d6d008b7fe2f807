package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
)

// Append appends events to one stream if it is as expected. They are stored all or none; when Append returns nil they
// are durable. Missing ids, content types, schema versions and times are filled in on a copy: the input is not changed
// and not kept.
//
// Errors are *ConflictError, *IDReusedError, *StreamDeletedError, or of the kinds ErrInvalid, ErrTooLarge,
// ErrUnavailable, ErrReadOnly, ErrFull, ErrClosed, or the context's. After ErrUnavailable or a context's error the
// events may have been stored; appending them again, with the same ids, is safe and tells.
func (s *Store) Append(ctx context.Context, stream event.StreamID, expected Expected, events ...event.Pending) (Result, error) {
	return s.Commit(ctx, Commit{Appends: []Append{{Stream: stream, Expected: expected, Events: events}}})
}

// AppendIf appends events to one stream if the condition holds, whatever version the stream has.
func (s *Store) AppendIf(ctx context.Context, stream event.StreamID, condition Condition, events ...event.Pending) (Result, error) {
	return s.Commit(ctx, Commit{
		Appends:   []Append{{Stream: stream, Expected: Any(), Events: events}},
		Condition: &condition,
	})
}

// Commit appends to one or several streams, whole or not at all. See Append.
func (s *Store) Commit(ctx context.Context, c Commit) (Result, error) {
	watched := s.hooks.WatchesAppends()
	var start time.Time
	if watched {
		start = s.now()
	}
	res, err := s.commit(ctx, c)
	if err != nil {
		err = fmt.Errorf("append %s: %w", c.name(), err)
	}
	if watched {
		a := observe.Append{Streams: len(c.Appends), Duplicate: res.Duplicate, Took: s.now().Sub(start), Err: err}
		for i, part := range c.Appends {
			if i == 0 {
				a.Stream = string(part.Stream)
			}
			a.Events += len(part.Events)
		}
		s.hooks.Append(ctx, a)
	}
	return res, err
}

func (s *Store) commit(ctx context.Context, c Commit) (Result, error) {
	prepared, err := s.prepare(c)
	if err != nil {
		return Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if hooks := s.inline.Load(); hooks != nil {
		return s.commitInline(ctx, prepared, *hooks)
	}
	return s.backend.Append(ctx, prepared)
}

// prepare checks a commit and gives a copy of it with all defaults filled in.
func (s *Store) prepare(c Commit) (Commit, error) {
	if len(c.Appends) == 0 {
		return Commit{}, invalid("the commit appends to no stream")
	}
	total := 0
	for i := range c.Appends {
		if err := s.limits.checkStream(c.Appends[i].Stream); err != nil {
			return Commit{}, err
		}
		for j := range i {
			if c.Appends[j].Stream == c.Appends[i].Stream {
				return Commit{}, invalid("stream %s: appears twice in one commit", c.Appends[i].Stream)
			}
		}
		if err := c.Appends[i].Expected.validate(); err != nil {
			return Commit{}, err
		}
		if len(c.Appends[i].Events) == 0 {
			return Commit{}, invalid("stream %s: no events to append", c.Appends[i].Stream)
		}
		total += len(c.Appends[i].Events)
	}
	if total > s.limits.MaxCommitEvents {
		return Commit{}, tooLarge("number of events in one commit", total, s.limits.MaxCommitEvents)
	}
	if err := s.checkCondition(c.Condition); err != nil {
		return Commit{}, err
	}
	return s.fill(c, total)
}

func (s *Store) checkCondition(c *Condition) error {
	if c == nil {
		return nil
	}
	if c.After < 0 {
		return invalid("condition: position %d must not be negative", c.After)
	}
	if len(c.Query) == 0 {
		return invalid("condition: the query has no items, so it would forbid every append")
	}
	return s.limits.checkQuery(c.Query)
}

func (s *Store) fill(c Commit, total int) (Commit, error) {
	var (
		events  []event.Pending
		appends []Append
		clock   = s.now()
		now     = clock.UTC().Truncate(time.Microsecond)
		atMost  int // bytes
	)
	if total == 1 { // most commits are one event, and make do with one allocation
		var one struct {
			events  [1]event.Pending
			appends [1]Append
		}
		events, appends = one.events[:0], one.appends[:]
	} else {
		events, appends = make([]event.Pending, 0, total), make([]Append, len(c.Appends))
	}
	for i, part := range c.Appends {
		first := len(events)
		for j := range part.Events {
			events = append(events, part.Events[j])
			e := &events[len(events)-1]
			if e.ID.IsZero() {
				e.ID = s.newID(clock)
			}
			fillEvent(e, now)
			size, err := s.limits.checkEvent(e)
			if err != nil {
				return Commit{}, fmt.Errorf("event %d (%s): %w", j+1, abbreviate(e.Type), err)
			}
			atMost += size
		}
		appends[i] = Append{Stream: part.Stream, Expected: part.Expected, Events: events[first:len(events):len(events)]}
	}
	if atMost > s.limits.MaxCommitBytes {
		if err := s.limits.checkSize(events); err != nil {
			return Commit{}, err
		}
	}
	if err := checkIDs(events); err != nil {
		return Commit{}, err
	}
	return Commit{Appends: appends, Condition: c.Condition}, nil
}

func fillEvent(e *event.Pending, now time.Time) {
	if e.SchemaVersion == 0 {
		e.SchemaVersion = 1
	}
	if e.ContentType == "" {
		e.ContentType = event.JSON
	}
	if e.OccurredAt.IsZero() {
		e.OccurredAt = now
	} else {
		e.OccurredAt = e.OccurredAt.UTC().Truncate(time.Microsecond)
	}
}

// checkIDs refuses a commit that holds an id twice.
func checkIDs(events []event.Pending) error {
	if ascending(events) {
		return nil
	}
	seen := make(map[event.ID]int, len(events))
	for i := range events {
		if first, twice := seen[events[i].ID]; twice {
			return invalid("events %d and %d of the commit have the same id %s", first+1, i+1, events[i].ID)
		}
		seen[events[i].ID] = i
	}
	return nil
}

// ascending reports whether each event's id is greater than the one before, as ids are that were made one after the other.
func ascending(events []event.Pending) bool {
	for i := 1; i < len(events); i++ {
		if bytes.Compare(events[i-1].ID[:], events[i].ID[:]) >= 0 {
			return false
		}
	}
	return true
}

// name says in an error which streams a commit goes to.
func (c Commit) name() string {
	switch len(c.Appends) {
	case 0:
		return "to no stream"
	case 1:
		return "stream " + abbreviate(string(c.Appends[0].Stream))
	default:
		return fmt.Sprintf("stream %s and %d more", abbreviate(string(c.Appends[0].Stream)), len(c.Appends)-1)
	}
}

func abbreviate(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}
