package subscription

import (
	"time"

	"lexigram.dev/events/event"
)

// State says how a subscription, or one of its partitions, fares.
type State string

// The states.
const (
	StateStopped    State = "stopped"     // nobody runs it
	StatePaused     State = "paused"      // by an operator
	StateCatchingUp State = "catching up" // it has not reached the head since it was started
	StateLive       State = "live"        // it follows the head
	StateRetrying   State = "retrying"    // an event has failed and is tried again
	StateStalled    State = "stalled"     // there are events to handle, and its checkpoint has not moved for long
	StateFaulted    State = "faulted"     // an event has failed for good, or the checkpoint is unusable
)

// Status is a report on a subscription, over all processes that run it.
type Status struct {
	Name       string            `json:"name"`
	State      State             `json:"state"` // the worst of its partitions
	Position   event.Position    `json:"position"`
	Head       event.Position    `json:"head"`
	Lag        int64             `json:"lag_events"` // positions between Position and Head, whether or not they pass the filter
	LagTime    time.Duration     `json:"lag_ns"`     // age of the oldest event that is not handled; 0: none
	Skewed     int               `json:"skewed"`     // events that wait, as dead letters, for a release that can read them
	Error      string            `json:"error,omitempty"`
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is a report on one partition.
type PartitionStatus struct {
	Partition int            `json:"partition"`
	State     State          `json:"state"`
	Position  event.Position `json:"position"`
	Owner     string         `json:"owner,omitempty"` // "": nobody
	Epoch     int64          `json:"epoch"`           // grows with each owner
	MovedAt   time.Time      `json:"moved_at"`        // when the checkpoint was last written
	Error     string         `json:"error,omitempty"`
	Attempts  int            `json:"attempts,omitempty"` // at the event that fails now
}
