package middleware

import "errors"

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrInvalid: a message does not keep its own rules. The error is a *ValidationError.
	ErrInvalid = errors.New("invalid")
	// ErrForbidden: whoever asks may not.
	ErrForbidden = errors.New("forbidden")
	// ErrTimeout: what is inside did not finish in time. It comes with context.DeadlineExceeded.
	ErrTimeout = errors.New("timed out")
	// ErrKeyReused: an idempotency key came with another message than before.
	ErrKeyReused = errors.New("the key was used for another message")
	// ErrNoResult: the handlers of events give no result.
	ErrNoResult = errors.New("the handlers of events give no result")
)
