package dispatch

import (
	"errors"

	"lexigram.dev/events/internal/panics"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrNoHandler: no handler is registered for the message's type.
	ErrNoHandler = errors.New("no handler")
	// ErrDuplicateHandler: there is a handler for the message's type already.
	ErrDuplicateHandler = errors.New("handled already")
	// ErrResultType: the handler gives a result of another type than was asked for.
	ErrResultType = errors.New("other result type")
	// ErrLate: middleware was added after the first handler, which would have missed it.
	ErrLate = errors.New("too late")
	// ErrTimeout: the handler did not finish within the bus's timeout. It comes with context.DeadlineExceeded.
	ErrTimeout = errors.New("timed out")
)

// PanicError is a panic of a handler or of middleware, as an error.
type PanicError = panics.Error
