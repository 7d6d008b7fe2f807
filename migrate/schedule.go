package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/store"
)

// Schedule says when a copy works; the zero value is: now, always, and as fast as it can. Batches that have begun are
// finished; ending the context ends the waiting too.
type Schedule struct {
	// At is when it begins. Defaults to at once.
	At time.Time

	// From and Until are times of the day, since midnight, between which it works; Until before From is over midnight.
	// Both zero: always.
	From, Until time.Duration

	// Location is where the day begins. Defaults to time.Local.
	Location *time.Location

	// EventsPerSecond bounds how many events of the source are copied in a second, on average. Defaults to 0: no bound.
	EventsPerSecond float64
}

func (s *Schedule) validate() error {
	var faults []error
	for name, d := range map[string]time.Duration{"From": s.From, "Until": s.Until} {
		if d < 0 || d > 24*time.Hour {
			faults = append(faults, fmt.Errorf("%w: schedule: %s %v: must be a time of the day", store.ErrInvalid, name, d))
		}
	}
	if s.EventsPerSecond < 0 {
		faults = append(faults, fmt.Errorf("%w: schedule: EventsPerSecond %v: must not be negative", store.ErrInvalid, s.EventsPerSecond))
	}
	return errors.Join(faults...)
}

// pause is how long to wait at a moment before work may go on.
func (s *Schedule) pause(now time.Time) time.Duration {
	if now.Before(s.At) {
		return s.At.Sub(now)
	}
	if s.From == s.Until {
		return 0
	}
	location := s.Location
	if location == nil {
		location = time.Local
	}
	local := now.In(location)
	at := func(day int, d time.Duration) time.Time { // by the clock on the wall, also where the day has 23 or 25 hours
		return time.Date(local.Year(), local.Month(), local.Day()+day, 0, 0, 0, int(d), location)
	}
	from, until := at(0, s.From), at(0, s.Until)
	open := !local.Before(from) && local.Before(until)
	if s.Until < s.From {
		open = !local.Before(from) || local.Before(until)
	}
	switch {
	case open:
		return 0
	case local.Before(from):
		return from.Sub(local)
	default:
		return at(1, s.From).Sub(local)
	}
}

// pacer lets a copy keep to its schedule.
type pacer struct {
	*Schedule
	due time.Time // of the next events
}

// wait waits until the next n events may be copied.
func (p *pacer) wait(ctx context.Context, n int) error {
	for {
		d := p.pause(time.Now())
		if d == 0 {
			d = time.Until(p.due)
		}
		if d <= 0 {
			break
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	if p.EventsPerSecond > 0 {
		if now := time.Now(); p.due.Before(now) {
			p.due = now
		}
		p.due = p.due.Add(time.Duration(float64(n) / p.EventsPerSecond * float64(time.Second)))
	}
	return ctx.Err()
}
