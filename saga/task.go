package saga

import (
	"fmt"
	"time"

	"lexigram.dev/events/event"
)

// taskKind is what a task does.
type taskKind uint8

const (
	taskAction taskKind = iota
	taskSignal          // wait for a signal
	taskCompensation
	taskCommand
)

// String names the kind, in keys and in public.
func (k taskKind) String() string {
	return [...]string{"action", "signal", "compensation", "command"}[k]
}

type taskStatus uint8

const (
	taskOpen taskStatus = iota
	taskDone
	taskFailed // for good
)

// task is one thing that is done outside of the history: requested by an event, settled by an event.
type task struct {
	number  int // from 1, in the order of the requests
	kind    taskKind
	stage   string
	step    string // of commands: the name of the command
	visit   int
	of      int // of compensations: the task that is undone
	begun   time.Time
	due     time.Time // of signals: the deadline; zero: none
	signal  string
	version event.Version // of the event that requested it

	command *message

	status        taskStatus
	claims        int       // how often somebody has begun to work on it
	inFlight      bool      // somebody has begun, and told of no end
	attempts      int       // that have failed, since it was begun or retried
	interruptions int       // claims after which nothing was heard
	retryAt       time.Time // after a failed attempt
	unknown       bool      // it has failed, but may have been done all the same
	err           string
	undone        bool // by a compensation
}

// maxInterruptions is how often a task may be begun without anything being heard of it: one that kills its process must
// not kill all of them, one after the other, for ever.
const maxInterruptions = 10

// key is the id of the task's effects, the same at each attempt.
func (t *task) key(stream event.StreamID) event.ID {
	return event.DerivedID(event.DerivedID(event.ID{}, string(stream)), fmt.Sprintf("%s %d %s#%d", t.kind, t.number, t.step, t.visit))
}

// open reports whether the task is to be done yet.
func (t *task) open() bool { return t.status == taskOpen }

// mayBeDone reports whether a compensation has something to undo.
func (t *task) mayBeDone() bool {
	return t.kind == taskAction && !t.undone && (t.status == taskDone || t.status == taskFailed && t.unknown)
}

// timer is a timer that is set.
type timer struct {
	name string
	due  time.Time
}
