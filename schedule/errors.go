package schedule

import (
	"errors"
	"fmt"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/store"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrUnknown: no delivery of that id is pending. There never was one, or it was made or cancelled.
	ErrUnknown = errcode.New(errcode.ScheduleNotFound, "no such delivery is pending")

	// ErrExists: a delivery of that id is pending, of other content or for another time.
	ErrExists = errcode.New(errcode.ScheduleExists, "exists already")

	// ErrDelivering: the delivery is being made just now, so it can be neither cancelled nor replaced.
	ErrDelivering = errcode.New(errcode.ScheduleBusy, "is being delivered")

	// ErrRunning: the scheduler runs already.
	ErrRunning = errcode.New(errcode.Running, "running already")
)

// permanentError is what Permanent makes.
type permanentError struct{ err error }

// Error implements error.
func (e *permanentError) Error() string { return e.err.Error() }

// Unwrap gives the error itself.
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks an error of a command's handler that no retry would cure: the delivery is a dead letter at once.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// permanent tells errors that no retry would cure.
func permanent(err error) bool {
	var marked *permanentError
	if errors.As(err, &marked) {
		return true
	}
	for _, kind := range []error{store.ErrStreamDeleted, store.ErrIDReused, store.ErrInvalid, store.ErrTooLarge} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// outage tells errors of a backend that has not done what it was asked to, for reasons that have nothing to do with it.
func outage(err error) bool {
	for _, kind := range []error{store.ErrUnavailable, store.ErrClosed, store.ErrReadOnly, store.ErrFull} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// invalid makes an error of the kind store.ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", store.ErrInvalid, fmt.Errorf(format, args...))
}
