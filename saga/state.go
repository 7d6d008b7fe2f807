package saga

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

const (
	styleSteps   = "steps"
	styleManager = "manager"
)

type phase uint8

const (
	phaseNone phase = iota // it has not begun
	phaseRunning
	phaseCompensating
	phaseEnded
)

// state is an instance, folded from its events. No definition is needed for that.
type state struct {
	saga, id string
	stream   event.StreamID
	version  event.Version // of the last event that was folded

	definition  int
	style       string
	correlation string
	origin      event.Metadata  // of what has started it: who, for which tenant, in which trace
	begunAs     json.RawMessage // the data at the start
	signals     []string        // that the definition knows
	retention   time.Duration
	startedAt   time.Time
	changedAt   time.Time

	phase     phase
	status    Status // of the end, or of a failure; "" while it goes on
	suspended bool
	parked    bool
	expired   bool
	reason    string // of the end or the failure
	cause     string // of the compensation
	hold      string // of the suspension, or of being parked

	data    json.RawMessage
	tasks   []*task
	visits  map[string]int // by stage
	stage   string         // that was come to last
	visit   int            // of it
	timers  []timer
	inbox   []received        // signals that no step has taken yet
	handled map[event.ID]bool // triggers and signals
	kept    []keptEvent       // events that came before the start, or while the definition was missing
	finish  bool              // a manager has said that it is done; what it has requested is still to be sent
	indexed summary           // what the index says, or will say
}

// received is a signal.
type received struct {
	name string
	data json.RawMessage
}

// keptEvent is an event that could not be reacted to when it came.
type keptEvent struct {
	trigger trigger
	data    json.RawMessage // the recorded event
}

func newState(saga, id string) *state {
	return &state{
		saga: saga, id: id, stream: streamOf(saga, id),
		visits: map[string]int{}, handled: map[event.ID]bool{},
	}
}

// failed reports whether it stands still until an operator does something.
func (s *state) failed() bool {
	return s.status == StatusFailed || s.status == StatusCompensationFailed
}

// failure is the status of an instance that fails for another reason than one of its tasks.
func (s *state) failure() Status {
	if s.phase == phaseCompensating {
		return StatusCompensationFailed
	}
	return StatusFailed
}

// halted reports whether nothing is to be planned at present.
func (s *state) halted() bool {
	return s.phase == phaseNone || s.phase == phaseEnded || s.suspended || s.parked || s.failed()
}

func (s *state) task(number int) (*task, error) {
	if number < 1 || number > len(s.tasks) {
		return nil, fmt.Errorf("task %d of %d: %w", number, len(s.tasks), store.ErrCorrupt)
	}
	return s.tasks[number-1], nil
}

// fold takes an event in.
func (s *state) fold(e *entry) error {
	s.version++
	if err := s.patch(e); err != nil {
		return err
	}
	err := s.apply(e)
	if e.Now != nil {
		s.indexed = *e.Now
	}
	return err
}

func (s *state) apply(e *entry) error {
	switch e.kind {
	case typeStarted:
		s.start(e)
	case typeStepStarted, typeSignalAwaited, typeCompensationStarted, typeCommandRequested:
		s.request(e)
	case typeStepSkipped:
		s.enter(e.Stage, e.Visit)
	case typeStepSucceeded, typeCompensationSucceeded, typeCommandConfirmed:
		return s.succeed(e)
	case typeStepFailed, typeCompensationFailed, typeCommandFailed:
		return s.fail(e)
	case typeAttempted:
		return s.attempted(e)
	case typeRetried:
		return s.retry(e)
	case typeTimerSet:
		s.cancelTimer(e.Timer)
		s.timers = append(s.timers, timer{e.Timer, e.Due})
	case typeTimerFired, typeTimerCancelled:
		s.cancelTimer(e.Timer)
	case typeReacted:
		if e.Trigger != nil {
			s.handled[e.Trigger.ID] = true
			s.kept = slices.DeleteFunc(slices.Clone(s.kept), func(k keptEvent) bool { return k.trigger.ID == e.Trigger.ID })
		}
		s.finish = s.finish || e.Status == StatusCompleted
	case typeKept:
		s.keep(e)
	case typeSignalReceived:
		s.inbox = append(s.inbox, received{e.Signal, e.Data})
		s.handled[e.id] = true
	case typeCompensating:
		s.phase, s.status, s.reason, s.cause, s.changedAt = phaseCompensating, "", "", e.Reason, e.at
	case typeSuspended:
		s.suspended, s.hold, s.changedAt = true, e.Reason, e.at
	case typeResumed:
		s.suspended, s.parked, s.hold, s.changedAt = false, false, "", e.at
	case typeParked:
		s.parked, s.hold, s.changedAt = true, e.Reason, e.at
	case typeEnded:
		s.end(e)
	case typeIdle:
	case typeExpired:
		s.expired = true
	default:
		return fmt.Errorf("event %s: %w: no such event is known: a newer program has written it, so upgrade", e.kind, store.ErrIncompatible)
	}
	return nil
}

func (s *state) start(e *entry) {
	s.phase, s.definition, s.style, s.correlation = phaseRunning, e.Definition, e.Style, e.Correlation
	s.begunAs, s.data, s.signals, s.retention = e.Data, e.Data, e.Signals, e.Retention
	s.origin, s.changedAt, s.kept = e.origin, e.at, nil
	if s.startedAt.IsZero() {
		s.startedAt = e.at
	}
}

// keep takes down an event that cannot be reacted to yet.
func (s *state) keep(e *entry) {
	s.handled[e.Trigger.ID] = true
	s.kept = append(s.kept, keptEvent{*e.Trigger, e.Data})
	if s.phase != phaseNone {
		return
	}
	s.retention = e.Retention
	if s.startedAt.IsZero() {
		s.startedAt = e.at
	}
}

// why says why the instance is as it is.
func (s *state) why() string {
	switch {
	case s.suspended || s.parked:
		return s.hold
	case s.reason == "" && s.phase == phaseCompensating:
		return s.cause
	}
	return s.reason
}

func (s *state) enter(stage string, visit int) {
	s.stage, s.visit = stage, visit
	s.visits[stage] = visit
}

func (s *state) request(e *entry) {
	t := &task{
		number: len(s.tasks) + 1, stage: e.Stage, step: e.Step, visit: e.Visit, of: e.Of, begun: e.at, due: e.Due,
		command: e.Command, signal: e.Signal, version: s.version,
	}
	switch e.kind {
	case typeStepStarted:
		s.enter(e.Stage, e.Visit)
		t.inFlight, t.claims = true, 1
	case typeSignalAwaited:
		s.enter(e.Stage, e.Visit)
		t.kind = taskSignal
	case typeCompensationStarted:
		t.kind, t.inFlight, t.claims = taskCompensation, true, 1
	case typeCommandRequested:
		t.kind = taskCommand
	}
	s.tasks = append(s.tasks, t)
}

func (s *state) succeed(e *entry) error {
	t, err := s.task(e.Task)
	if err != nil {
		return err
	}
	t.status, t.inFlight, t.retryAt, t.err, t.unknown = taskDone, false, time.Time{}, "", false
	switch t.kind {
	case taskCompensation:
		undone, err := s.task(t.of)
		if err != nil {
			return err
		}
		undone.undone = true
	case taskSignal:
		if i := slices.IndexFunc(s.inbox, func(r received) bool { return r.name == e.Signal }); i >= 0 {
			s.inbox = slices.Delete(slices.Clone(s.inbox), i, i+1)
		}
	}
	return nil
}

func (s *state) fail(e *entry) error {
	t, err := s.task(e.Task)
	if err != nil {
		return err
	}
	t.inFlight, t.attempts, t.interruptions = false, t.attempts+1, 0
	t.err, t.unknown, t.retryAt = e.Error, t.unknown || e.Unknown, e.RetryAt
	if e.RetryAt.IsZero() {
		t.status = taskFailed
	}
	return nil
}

func (s *state) attempted(e *entry) error {
	for _, number := range e.Tasks {
		t, err := s.task(number)
		if err != nil {
			return err
		}
		if t.inFlight {
			t.interruptions++
			t.unknown = true
		}
		t.inFlight, t.retryAt = true, time.Time{}
		t.claims++
	}
	return nil
}

// retry gives tasks that have failed for good all their attempts again, or ends the pause of others.
func (s *state) retry(e *entry) error {
	for _, number := range e.Tasks {
		t, err := s.task(number)
		if err != nil {
			return err
		}
		t.status, t.attempts, t.interruptions, t.retryAt, t.inFlight = taskOpen, 0, 0, time.Time{}, false
		if !t.due.IsZero() { // a signal is awaited as long again, or it would be too late at once
			t.due, t.begun = e.at.Add(t.due.Sub(t.begun)).Truncate(time.Microsecond), e.at
		}
		if s.stage != t.stage && t.kind != taskCommand && t.kind != taskCompensation {
			s.enter(t.stage, t.visit)
		}
	}
	s.status, s.parked, s.reason, s.changedAt = "", false, "", e.at
	return nil
}

func (s *state) end(e *entry) {
	s.status, s.reason, s.changedAt = e.Status, e.Reason, e.at
	if e.Status.Ended() {
		s.phase, s.timers, s.suspended, s.parked = phaseEnded, nil, false, false
	}
}

func (s *state) cancelTimer(name string) {
	s.timers = slices.DeleteFunc(slices.Clone(s.timers), func(t timer) bool { return t.name == name })
}

func streamOf(saga, id string) event.StreamID { return event.StreamID(category(saga) + "-" + id) }

func category(saga string) string { return "saga_" + saga }
