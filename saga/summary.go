package saga

import (
	"cmp"
	"slices"
	"time"

	"lexigram.dev/events/event"
)

// linger is how long a pause may be for an instance to stay in memory meanwhile.
const linger = 2 * time.Second

// summarize gives what the index is to say. urgent is set where somebody else has to look at what follows.
func (s *state) summarize(now time.Time, urgent bool) summary {
	sum := summary{Status: s.currentStatus(), Error: s.why(), Definition: s.definition, Correlation: s.correlation, Started: s.indexed.Started}
	if sum.Started == 0 {
		sum.Started = s.startedAt.UnixMicro()
	}
	switch {
	case s.expired:
		return summary{}
	case s.phase == phaseNone:
	case s.phase == phaseEnded:
		sum.Due = s.expiry()
	case s.suspended || s.parked || s.failed():
	case urgent:
		sum.Due = dueNow
	default:
		sum.Due = s.due(now)
	}
	return sum
}

func (s *state) currentStatus() Status {
	switch {
	case s.phase == phaseEnded:
		return s.status
	case s.suspended:
		return StatusSuspended
	case s.parked:
		return StatusParked
	case s.failed():
		return s.status
	case s.phase == phaseCompensating:
		return StatusCompensating
	case s.style == styleSteps && s.stage == "":
		return StatusRunning // the first step is about to begin
	}
	for _, t := range s.tasks {
		if t.open() && t.kind != taskSignal {
			return StatusRunning
		}
	}
	return StatusWaiting
}

// expiry is when the stream of an instance that has ended is to be deleted; 0: never.
func (s *state) expiry() int64 {
	if s.retention < 0 {
		return 0
	}
	return s.changedAt.Add(s.retention).UnixMicro()
}

// due is when something is to be done next: dueNow where it is at work, 0 where it waits for no time.
func (s *state) due(now time.Time) int64 {
	next := s.wake()
	switch {
	case s.finish && !s.anyOpen(), next.IsZero() && s.atWork():
		return dueNow
	case next.IsZero():
		return 0
	case s.atWork() || next.Before(now.Add(linger)):
		return dueNow
	}
	return next.UnixMicro()
}

// atWork reports whether there is a task that needs no waiting. The commands of a process manager wait for the one before.
func (s *state) atWork() bool {
	for _, t := range s.tasks {
		switch {
		case !t.open() || t.kind == taskSignal:
		case t.retryAt.IsZero():
			return true
		case s.style == styleManager:
			return false
		}
	}
	return len(s.kept) > 0 && s.phase == phaseRunning
}

func (s *state) anyOpen() bool { return slices.ContainsFunc(s.tasks, (*task).open) }

// wake is the first time that something waits for; zero where nothing does.
func (s *state) wake() time.Time {
	var first time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if !s.finish { // then timers do not count any more
		for _, t := range s.timers {
			consider(t.due)
		}
	}
	for _, t := range s.tasks {
		if t.open() && t.kind == taskSignal {
			consider(t.due)
		} else if t.open() {
			consider(t.retryAt)
		}
	}
	return first
}

// instance is what the index says in public.
func (sum *summary) instance(saga, id string, changed time.Time) Instance {
	i := Instance{
		Saga: saga, ID: id, Version: sum.Definition, Status: sum.Status, Correlation: sum.Correlation,
		StartedAt: fromMicro(sum.Started), ChangedAt: changed, Error: sum.Error,
	}
	if sum.Due > dueNow {
		i.Due = fromMicro(sum.Due)
	}
	return i
}

func fromMicro(n int64) time.Time { return time.UnixMicro(n).UTC() }

// metadata of the events of an instance, and of what is done for it: that of what has started it.
func (s *state) metadata() event.Metadata {
	m := s.origin
	m.CorrelationID = cmp.Or(s.correlation, m.CorrelationID, string(s.stream))
	m.CausationID = ""
	return m
}
