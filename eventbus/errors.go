package eventbus

import (
	"errors"

	"lexigram.dev/events/internal/panics"
)

// The kinds of errors, beside those of packages broker, schema and store. Test for them with errors.Is.
var (
	// ErrLate: the bus has begun; handlers and middleware must be registered before Declare, Publish and Run.
	ErrLate = errors.New("too late: the bus has begun")
	// ErrDuplicateHandler: there is a handler of this name.
	ErrDuplicateHandler = errors.New("the name is taken")
	// ErrNoHandler: no handler of this bus takes the event, and the bus was told to mind.
	ErrNoHandler = errors.New("no handler")
	// ErrRunning: the bus runs already.
	ErrRunning = errors.New("running already")
	// ErrNotCalled: an earlier handler of the sequence has failed, see Options.StopOnError.
	ErrNotCalled = errors.New("not called")
	// ErrTimeout: the handler did not finish in time. It comes with context.DeadlineExceeded.
	ErrTimeout = errors.New("timed out")
)

// PanicError is a panic of a handler or of middleware, as an error.
type PanicError = panics.Error
