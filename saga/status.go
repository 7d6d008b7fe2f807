package saga

import "time"

// Status says how an instance fares.
type Status string

// The statuses. The second group has ended, and is removed after the retention.
const (
	StatusRunning            Status = "running"             // something is being done
	StatusWaiting            Status = "waiting"             // for a time, a signal or an event
	StatusCompensating       Status = "compensating"        // what was done is being undone
	StatusSuspended          Status = "suspended"           // by an operator, until it is resumed
	StatusParked             Status = "parked"              // no process has its definition
	StatusFailed             Status = "failed"              // a command, or a step without a way on, has failed for good
	StatusCompensationFailed Status = "compensation_failed" // what was done could not be undone; retry goes on there

	StatusCompleted   Status = "completed"
	StatusCompensated Status = "compensated"
	StatusCancelled   Status = "cancelled" // by an operator, without compensation
)

// Ended reports whether nothing more will happen.
func (s Status) Ended() bool {
	return s == StatusCompleted || s == StatusCompensated || s == StatusCancelled
}

// known reports whether there is such a status.
func (s Status) known() bool {
	switch s {
	case StatusRunning, StatusWaiting, StatusCompensating, StatusSuspended, StatusParked, StatusFailed, StatusCompensationFailed:
		return true
	}
	return s.Ended()
}

// Instance is what the index says of one instance.
type Instance struct {
	Saga        string    `json:"saga"`
	ID          string    `json:"id"`
	Version     int       `json:"version"` // of the definition
	Status      Status    `json:"status"`
	Correlation string    `json:"correlation,omitempty"`
	StartedAt   time.Time `json:"started_at"`
	ChangedAt   time.Time `json:"changed_at"`      // when the status changed last
	Due         time.Time `json:"due,omitzero"`    // when something is to be done next; zero: nothing, or it is at work
	Error       string    `json:"error,omitempty"` // why it is as it is
}
