package dispatch

import (
	"lexigram.dev/events/errcode"
	"lexigram.dev/events/internal/panics"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrNoHandler: no handler is registered for the message's type.
	ErrNoHandler = errcode.New(errcode.NoHandler, "no handler")
	// ErrDuplicateHandler: there is a handler for the message's type already.
	ErrDuplicateHandler = errcode.New(errcode.DuplicateHandler, "handled already")
	// ErrResultType: the handler gives a result of another type than was asked for.
	ErrResultType = errcode.New(errcode.ResultType, "other result type")
	// ErrLate: middleware was added after the first handler, which would have missed it.
	ErrLate = errcode.New(errcode.TooLate, "too late")
	// ErrTimeout: the handler did not finish within the bus's timeout. It comes with context.DeadlineExceeded.
	ErrTimeout = errcode.New(errcode.Timeout, "timed out")
)

// PanicError is a panic of a handler or of middleware, as an error.
type PanicError = panics.Error
