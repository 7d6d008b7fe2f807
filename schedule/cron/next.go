package cron

import (
	"time"

	parser "github.com/netresearch/go-cron"
)

// recurrence finds times by the clock on the wall: the parser's library does so for a clock that is never changed, and here
// is what happens when it is.
type recurrence struct {
	spec   parser.Schedule
	zone   *time.Location
	hourly bool
}

// Next implements schedule.Recurrence.
func (r *recurrence) Next(after time.Time) time.Time {
	after = after.In(r.zone)
	if r.hourly {
		return r.inEachPass(after)
	}
	return r.onceADay(after)
}

// inEachPass takes each stretch between two changes of the clock for itself: what the clock skips does not happen, what it
// shows twice happens twice.
func (r *recurrence) inEachPass(after time.Time) time.Time {
	for at, from := after, after; ; {
		_, offset := at.Zone()
		_, end := at.ZoneBounds()
		next := r.spec.Next(from.In(time.FixedZone("", offset)))
		if next.IsZero() || end.IsZero() || next.Before(end) {
			return next
		}
		at, from = end, end.Add(-time.Second) // the first moment of the next stretch included
	}
}

// onceADay makes each time on the wall one moment: the first of two, and where the clock skips it, the moment after that.
func (r *recurrence) onceADay(after time.Time) time.Time {
	wall := time.Date(after.Year(), after.Month(), after.Day(), after.Hour(), after.Minute(), after.Second(), after.Nanosecond(), time.UTC)
	for {
		if wall = r.spec.Next(wall); wall.IsZero() {
			return wall
		}
		if next := r.moment(wall); next.After(after) {
			return next
		}
	}
}

// moment gives the first moment at which the clock on the wall shows a time, or has just skipped it.
func (r *recurrence) moment(wall time.Time) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, r.zone)
	start, end := t.ZoneBounds()
	for _, change := range []time.Time{start, end} {
		if change.IsZero() {
			continue
		}
		_, before := change.Add(-time.Nanosecond).Zone()
		_, since := change.Zone()
		last := wall.Add(-time.Duration(before) * time.Second) // by the clock before the change
		first := wall.Add(-time.Duration(since) * time.Second) // by the clock after it
		switch {
		case !last.Before(change) && first.Before(change): // skipped
			return change
		case last.Before(change) && !first.Before(change): // shown twice
			return last.In(r.zone)
		}
	}
	return t
}
