package eventbus

import (
	"lexigram.dev/events/errcode"
	"lexigram.dev/events/internal/panics"
)

// The kinds of errors, beside those of packages broker, schema and store. Test for them with errors.Is.
var (
	// ErrLate: the bus has begun; handlers and middleware must be registered before Declare, Publish and Run.
	ErrLate = errcode.New(errcode.TooLate, "too late: the bus has begun")
	// ErrDuplicateHandler: there is a handler of this name.
	ErrDuplicateHandler = errcode.New(errcode.DuplicateHandler, "the name is taken")
	// ErrNoHandler: no handler of this bus takes the event, and the bus was told to mind.
	ErrNoHandler = errcode.New(errcode.NoHandler, "no handler")
	// ErrRunning: the bus runs already.
	ErrRunning = errcode.New(errcode.Running, "running already")
	// ErrNotCalled: an earlier handler of the sequence has failed, see Options.StopOnError.
	ErrNotCalled = errcode.New(errcode.NotCalled, "not called")
	// ErrTimeout: the handler did not finish in time. It comes with context.DeadlineExceeded.
	ErrTimeout = errcode.New(errcode.Timeout, "timed out")
)

// PanicError is a panic of a handler or of middleware, as an error.
type PanicError = panics.Error
