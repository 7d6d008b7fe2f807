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
	return s.observed(ctx, []Append{{Stream: stream, Expected: expected, Events: events}}, nil)
}

// AppendIf appends events to one stream if the condition holds, whatever version the stream has.
func (s *Store) AppendIf(ctx context.Context, stream event.StreamID, condition Condition, events ...event.Pending) (Result, error) {
	return s.observed(ctx, []Append{{Stream: stream, Expected: Any(), Events: events}}, &condition)
}

// Commit appends to one or several streams, whole or not at all. See Append.
func (s *Store) Commit(ctx context.Context, c Commit) (Result, error) {
	return s.observed(ctx, c.Appends, c.Condition)
}

// observed makes a commit and calls the hooks. The parts of a commit come apart, and prepared stays apart from them, so
// that the compiler sees that the caller's list of appends may lie on the stack.
func (s *Store) observed(ctx context.Context, appends []Append, condition *Condition) (Result, error) {
	watched := s.hooks.WatchesAppends()
	var start time.Time
	if watched {
		start = s.now()
	}
	res, err := s.commit(ctx, appends, condition)
	if err != nil {
		err = fmt.Errorf("append %s: %w", nameOf(appends), err)
	}
	if watched {
		a := observe.Append{Streams: len(appends), Duplicate: res.Duplicate, Took: s.now().Sub(start), Err: err}
		for i, part := range appends {
			if i == 0 {
				a.Stream = string(part.Stream)
			}
			a.Events += len(part.Events)
		}
		s.hooks.Append(ctx, a)
	}
	return res, err
}

func (s *Store) commit(ctx context.Context, appends []Append, condition *Condition) (Result, error) {
	total, err := s.check(appends, condition)
	if err != nil {
		return Result{}, err
	}
	hooks := s.inline.Load()
	again := s.copier && hooks == nil && total <= pooledEvents
	m := s.memory(again, len(appends), total)
	res, err := s.fillAndStore(ctx, appends, condition, m, hooks)
	if again {
		s.release(m)
	}
	return res, err
}

func (s *Store) fillAndStore(ctx context.Context, appends []Append, condition *Condition, m *memory, hooks *[]Inline) (Result, error) {
	prepared, err := s.fill(appends, m)
	if err != nil {
		return Result{}, err
	}
	prepared.Condition = condition
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if hooks != nil {
		return s.commitInline(ctx, prepared, *hooks)
	}
	return s.backend.Append(ctx, prepared)
}

// check checks all but the events themselves, and counts those.
func (s *Store) check(appends []Append, condition *Condition) (total int, err error) {
	if len(appends) == 0 {
		return 0, invalid("the commit appends to no stream")
	}
	for i := range appends {
		if err := s.limits.checkStream(appends[i].Stream); err != nil {
			return 0, err
		}
		for j := range i {
			if appends[j].Stream == appends[i].Stream {
				return 0, invalid("stream %s: appears twice in one commit", appends[i].Stream)
			}
		}
		if err := appends[i].Expected.validate(); err != nil {
			return 0, err
		}
		if len(appends[i].Events) == 0 {
			return 0, invalid("stream %s: no events to append", appends[i].Stream)
		}
		total += len(appends[i].Events)
	}
	if total > s.limits.MaxCommitEvents {
		return 0, tooLarge("number of events in one commit", total, s.limits.MaxCommitEvents)
	}
	return total, s.checkCondition(condition)
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

// fill gives a copy of the commit, in m, with all defaults filled in, and checks its events.
func (s *Store) fill(appends []Append, m *memory) (Commit, error) {
	var (
		clock  = s.now()
		now    = time.UnixMicro(clock.UnixMicro()).UTC()
		atMost int // bytes
	)
	for i := range appends {
		part := &appends[i]
		first := len(m.events)
		for j := range part.Events {
			m.events = append(m.events, part.Events[j])
			e := &m.events[len(m.events)-1]
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
		m.appends = append(m.appends, Append{Stream: part.Stream, Expected: part.Expected, Events: m.events[first:len(m.events):len(m.events)]})
	}
	if atMost > s.limits.MaxCommitBytes {
		if err := s.limits.checkSize(m.events); err != nil {
			return Commit{}, err
		}
	}
	if err := checkIDs(m.events); err != nil {
		return Commit{}, err
	}
	c := Commit{Appends: m.appends}
	if s.systemClock {
		c.clock = clock
	}
	return c, nil
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

// nameOf says in an error which streams a commit goes to.
func nameOf(appends []Append) string {
	switch len(appends) {
	case 0:
		return "to no stream"
	case 1:
		return "stream " + abbreviate(string(appends[0].Stream))
	default:
		return fmt.Sprintf("stream %s and %d more", abbreviate(string(appends[0].Stream)), len(appends)-1)
	}
}

func abbreviate(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}
