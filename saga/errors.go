package saga

import (
	"errors"
	"fmt"
	"strings"

	"lexigram.dev/events/errcode"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrUnknown: there is no saga of that name, or no instance of that id.
	ErrUnknown = errcode.New(errcode.SagaNotFound, "unknown")

	// ErrExists: there is an instance of that id already, which was begun with other data.
	ErrExists = errcode.New(errcode.SagaExists, "exists already")

	// ErrEnded: the instance has ended.
	ErrEnded = errcode.New(errcode.SagaEnded, "has ended")

	// ErrRefused: the instance is in no state for what is asked for.
	ErrRefused = errcode.New(errcode.SagaRefused, "refused")

	// ErrRunning: the set runs already.
	ErrRunning = errcode.New(errcode.Running, "running already")
)

// permanentError is what Permanent makes.
type permanentError struct{ err error }

// Error implements error.
func (e *permanentError) Error() string { return e.err.Error() }

// Unwrap gives the error itself.
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks an error of an action, a compensation or a command that no retry would cure.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

func isPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// unknownOutcome is an error that leaves it open whether the work was done.
type unknownOutcome struct{ err error }

func (e *unknownOutcome) Error() string { return e.err.Error() }
func (e *unknownOutcome) Unwrap() error { return e.err }

func isUnknown(err error) bool {
	var u *unknownOutcome
	return errors.As(err, &u)
}

var errTimeout = errors.New("it did not end in time")

// maxErrorBytes is how much of an error's text a history keeps.
const maxErrorBytes = 4096

func shortened(text string) string {
	if len(text) <= maxErrorBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorBytes], "") + " [shortened]"
}

// named puts the instance into an error.
func named(what, saga, id string, err error) error {
	return fmt.Errorf("%s %s/%s: %w", what, saga, id, err)
}
