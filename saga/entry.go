package saga

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The types of the events of an instance.
const (
	typeStarted               = "saga.started"
	typeStepStarted           = "saga.step_started"
	typeStepSucceeded         = "saga.step_succeeded"
	typeStepFailed            = "saga.step_failed"
	typeStepSkipped           = "saga.step_skipped"
	typeSignalAwaited         = "saga.signal_awaited"
	typeSignalReceived        = "saga.signal_received"
	typeCompensating          = "saga.compensating"
	typeCompensationStarted   = "saga.compensation_started"
	typeCompensationSucceeded = "saga.compensation_succeeded"
	typeCompensationFailed    = "saga.compensation_failed"
	typeReacted               = "saga.reacted"
	typeKept                  = "saga.event_kept" // an event that came before those that start the instance
	typeCommandRequested      = "saga.command_requested"
	typeCommandConfirmed      = "saga.command_confirmed"
	typeCommandFailed         = "saga.command_failed"
	typeTimerSet              = "saga.timer_set"
	typeTimerFired            = "saga.timer_fired"
	typeTimerCancelled        = "saga.timer_cancelled"
	typeAttempted             = "saga.attempted" // somebody has taken over tasks that are open
	typeEnded                 = "saga.ended"     // or has failed: the status says which
	typeSuspended             = "saga.suspended"
	typeResumed               = "saga.resumed"
	typeParked                = "saga.parked"
	typeRetried               = "saga.retried"
	typeIdle                  = "saga.idle"    // the owner has looked, and has to wait
	typeExpired               = "saga.expired" // the retention is over, and the stream will be deleted
)

// entry is one event of an instance. Which fields are set depends on its type.
type entry struct {
	kind string    // the event's type
	id   event.ID  // zero: a new one
	at   time.Time // when it occurred

	origin event.Metadata // of the event itself; only that of started counts

	// started
	Definition  int             `json:"definition,omitempty"` // its version
	Style       string          `json:"style,omitempty"`      // steps or manager
	Correlation string          `json:"correlation,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"` // and of signals
	Signals     []string        `json:"signals,omitempty"`
	Retention   time.Duration   `json:"retention_ns,omitempty"` // negative: for ever

	// tasks
	Task    int       `json:"task,omitempty"`  // its number, from 1
	Stage   string    `json:"stage,omitempty"` // the step at the top level
	Step    string    `json:"step,omitempty"`
	Visit   int       `json:"visit,omitempty"` // how often the stage was come to
	Of      int       `json:"of,omitempty"`    // the task that a compensation undoes
	Command *message  `json:"command,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Error   string    `json:"error,omitempty"`
	Unknown bool      `json:"unknown,omitempty"` // the work may have been done all the same
	RetryAt time.Time `json:"retry_at,omitzero"` // zero: it has failed for good
	Tasks   []int     `json:"tasks,omitempty"`
	Owner   string    `json:"owner,omitempty"`

	// changes of the data
	Set   map[string]json.RawMessage `json:"set,omitempty"`
	Drop  []string                   `json:"drop,omitempty"`
	Whole json.RawMessage            `json:"whole,omitempty"`

	// timers, triggers, signals, operators
	Timer   string    `json:"timer,omitempty"`
	Due     time.Time `json:"due,omitzero"`
	Trigger *trigger  `json:"trigger,omitempty"`
	Signal  string    `json:"signal,omitempty"`
	Status  Status    `json:"status,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by,omitempty"`

	Was *summary `json:"was,omitempty"` // what the index said before; nil: nothing
	Now *summary `json:"now,omitempty"` // what it says from here on; nil: the same
}

// message is a command as it is stored.
type message struct {
	Name        string          `json:"name"`
	Version     int             `json:"version"`
	ContentType string          `json:"content_type,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
	Bytes       []byte          `json:"bytes,omitempty"` // in place of Data, of what is no JSON
}

// trigger is an event of the log that was reacted to.
type trigger struct {
	ID       event.ID       `json:"id"`
	Type     string         `json:"type"`
	Stream   event.StreamID `json:"stream"`
	Position event.Position `json:"position"`
	Part     int            `json:"part,omitempty"` // of the values that it is read as, from 0
}

// summary is what the index keeps of an instance.
type summary struct {
	Status      Status `json:"s"`
	Due         int64  `json:"d,omitempty"` // microseconds of Unix time; 1: now; 0: never
	Error       string `json:"e,omitempty"`
	Definition  int    `json:"v,omitempty"`
	Correlation string `json:"c,omitempty"`
	Started     int64  `json:"t,omitempty"` // microseconds of Unix time
}

// dueNow is the due time of instances that are at work: they stand first in the agenda.
const dueNow = 1

// summaryMark is in the data of each event that changes the index, and of few others.
const summaryMark = `"now":{`

func (e *entry) pending(m event.Metadata) (event.Pending, error) {
	data, err := json.Marshal(e)
	if err != nil {
		return event.Pending{}, fmt.Errorf("encode %s: %w: %w", e.kind, store.ErrInvalid, err)
	}
	return event.Pending{ID: e.id, Type: e.kind, Data: data, Metadata: m, OccurredAt: e.at}, nil
}

func decodeEntry(r *event.Recorded) (*entry, error) {
	e := &entry{}
	if !strings.HasPrefix(r.Type, "saga.") {
		return nil, fmt.Errorf("event %s at position %d of stream %s: %w: it is none of a saga", r.Type, r.Position, r.Stream, store.ErrCorrupt)
	}
	if err := json.Unmarshal(r.Data, e); err != nil {
		return nil, fmt.Errorf("event %s at position %d of stream %s: %w: %w", r.Type, r.Position, r.Stream, store.ErrCorrupt, err)
	}
	e.kind, e.id, e.at = r.Type, r.ID, r.OccurredAt
	if e.kind == typeStarted {
		var err error
		if e.origin, err = r.Metadata(); err != nil {
			return nil, fmt.Errorf("event %s at position %d of stream %s: %w: %w", r.Type, r.Position, r.Stream, store.ErrCorrupt, err)
		}
	}
	return e, nil
}
