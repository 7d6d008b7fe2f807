package schedule

import (
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// When says when a delivery is due: [At], [After] or [Every]. The zero value is refused.
type When struct {
	kind    whenKind
	at      time.Time
	after   time.Duration
	cron    string
	zone    string
	catchUp bool
}

type whenKind uint8

const (
	whenAt whenKind = iota + 1
	whenAfter
	whenEvery
)

// At is a time, to the microsecond. One that is past is due at once.
func At(t time.Time) When { return When{kind: whenAt, at: t} }

// After is a while from now on, which may be 0.
func After(d time.Duration) When { return When{kind: whenAfter, after: d} }

// Every is each time of a cron expression in a time zone, such as "UTC" or "Europe/Berlin". Times that were missed while
// nobody ran the scheduler are one late delivery, of the first of them; then it goes on with the next time to come.
func Every(cron, zone string) When { return When{kind: whenEvery, cron: cron, zone: zone} }

// CatchUp gives the same, but each time that was missed is delivered.
func (w When) CatchUp() When { w.catchUp = true; return w }

// String tells it apart from every other.
func (w When) String() string {
	switch w.kind {
	case whenAt:
		return "at " + w.at.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	case whenAfter:
		return "after " + w.after.String()
	case whenEvery:
		text := fmt.Sprintf("every %q in %s", w.cron, w.zone)
		if w.catchUp {
			text += ", each one"
		}
		return text
	}
	return "never"
}

// lastDue is the last time that fits into a key.
const lastDue = 9_999_999_999_999_999 // in microseconds: November 2286

// due gives when it is due for the first time, in microseconds.
func (s *Scheduler) due(w *When) (int64, error) {
	var t time.Time
	switch w.kind {
	case whenAt:
		if w.at.IsZero() {
			return 0, invalid("the time is zero")
		}
		t = w.at
	case whenAfter:
		if w.after < 0 {
			return 0, invalid("after %v: must not be negative", w.after)
		}
		t = s.o.Now().Add(w.after)
	case whenEvery:
		r, err := s.recurrence(w.cron, w.zone)
		if err != nil {
			return 0, err
		}
		if t = r.Next(s.o.Now()); t.IsZero() {
			return 0, invalid("cron %q in %s: there is no such time", w.cron, w.zone)
		}
	default:
		return 0, invalid("it is not said when: use At, After or Every")
	}
	if w.catchUp && w.kind != whenEvery {
		return 0, invalid("%v: only what recurs can catch up", w)
	}
	if t.Year() > 2286 || t.UnixMicro() > lastDue { // so far ahead, microseconds overflow
		return 0, invalid("due in the year %d: too far ahead, the last time is %v", t.Year(), time.UnixMicro(lastDue).UTC())
	}
	if t.Year() < 1970 {
		return 0, nil
	}
	return t.UnixMicro(), nil
}

// recurrence reads a cron expression.
func (s *Scheduler) recurrence(cron, zone string) (Recurrence, error) {
	if s.o.Cron == nil {
		return nil, invalid("cron %q: this scheduler has no parser: set Options.Cron to cron.Parse of package schedule/cron", cron)
	}
	r, err := s.o.Cron(cron, zone)
	if err != nil {
		return nil, invalid("%w", err)
	}
	return r, nil
}

// next gives the time after the one at which a delivery was due; ok is false where there is none.
func (s *Scheduler) next(e *entry) (due int64, ok bool, err error) {
	if e.Cron == "" {
		return 0, false, nil
	}
	r, err := s.recurrence(e.Cron, e.Zone)
	if err != nil {
		return 0, false, err
	}
	from := time.UnixMicro(e.Due)
	if now := s.o.Now(); !e.CatchUp && now.After(from) {
		from = now
	}
	t := r.Next(from)
	return t.UnixMicro(), !t.IsZero() && t.UnixMicro() <= lastDue, nil
}

// maxIDBytes bounds an id.
const maxIDBytes = 256

// checkID reports why an id cannot be used: it is a part of keys.
func checkID(id string) error {
	if len(id) > maxIDBytes {
		return fmt.Errorf("%w: the id has %d bytes, the limit is %d", store.ErrTooLarge, len(id), maxIDBytes)
	}
	if err := event.ValidateName(id); err != nil {
		return invalid("id: %w", err)
	}
	return nil
}
