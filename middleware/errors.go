package middleware

import (
	"lexigram.dev/events/errcode"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrInvalid: a message does not keep its own rules. The error is a *ValidationError.
	ErrInvalid = errcode.New(errcode.Invalid, "invalid")
	// ErrForbidden: whoever asks may not.
	ErrForbidden = errcode.New(errcode.Forbidden, "forbidden")
	// ErrTimeout: what is inside did not finish in time. It comes with context.DeadlineExceeded.
	ErrTimeout = errcode.New(errcode.Timeout, "timed out")
	// ErrKeyReused: an idempotency key came with another message than before.
	ErrKeyReused = errcode.New(errcode.KeyReused, "the key was used for another message")
	// ErrNoResult: the handlers of events give no result.
	ErrNoResult = errcode.New(errcode.ResultType, "the handlers of events give no result")
)
