package subscription

import (
	"errors"
	"fmt"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrFenced: another owner has taken the partition over, or an operator has moved its checkpoint.
	ErrFenced = errcode.New(errcode.Fenced, "taken over by another owner")
	// ErrCheckpoint: the stored checkpoint cannot be used; it is never taken for "start at 0".
	ErrCheckpoint = errcode.New(errcode.Checkpoint, "unusable checkpoint")
	// ErrRunning: the subscription runs already.
	ErrRunning = errcode.New(errcode.Running, "running already")
	// ErrFaulted: the subscription has stopped at an event that failed for good.
	ErrFaulted = errcode.New(errcode.EventHandlerFailed, "stopped at a failed event")
)

// FaultError says at which event a subscription has stopped. It is an ErrFaulted, and wraps the cause.
type FaultError struct {
	Name      string
	Partition int
	Position  event.Position
	Stream    event.StreamID
	Type      string
	Attempts  int
	Cause     error // of the last attempt
}

// Error implements error.
func (e *FaultError) Error() string {
	return fmt.Sprintf("subscription %s: partition %d: %s: %s in stream %s at position %d, after %d attempts: %v",
		e.Name, e.Partition, ErrFaulted, e.Type, e.Stream, e.Position, e.Attempts, e.Cause)
}

// ErrorCode implements errcode.Coded.
func (*FaultError) ErrorCode() errcode.Code { return errcode.EventHandlerFailed }

// Unwrap gives ErrFaulted and the cause.
func (e *FaultError) Unwrap() []error { return []error{ErrFaulted, e.Cause} }

// What ends the handling of a chunk, beside errors for the caller of Run.
var (
	errStopping = errors.New("told to stop")
	errLost     = errors.New("the lease is lost")
	errMoved    = errors.New("the checkpoint was moved from outside")
)
