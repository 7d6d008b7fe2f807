package broker

import (
	"errors"
	"fmt"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/internal/panics"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrInvalid: the input is malformed. Nothing was sent.
	ErrInvalid = errcode.New(errcode.Invalid, "invalid input")
	// ErrTooLarge: the input exceeds a limit. Nothing was sent.
	ErrTooLarge = errcode.New(errcode.TooLarge, "over the limit")
	// ErrUnavailable: the broker cannot be reached or does not answer. What was being published may have arrived:
	// publish it again with the same ids.
	ErrUnavailable = errcode.New(errcode.BrokerUnavailable, "broker unavailable")
	// ErrFull: the broker has no room. Try again later.
	ErrFull = errcode.New(errcode.BrokerFull, "broker is full")
	// ErrRefused: the broker will not do it, however often it is asked: no permission, no such topic.
	ErrRefused = errcode.New(errcode.BrokerRefused, "refused by the broker")
	// ErrClosed: the broker was closed by this program.
	ErrClosed = errcode.New(errcode.Closed, "broker is closed")
	// ErrUnsupported: the broker cannot do this; see Features.
	ErrUnsupported = errcode.New(errcode.Unsupported, "not supported by this broker")
	// ErrTimeout: a handler did not finish in time.
	ErrTimeout = errcode.New(errcode.Timeout, "timed out")
	// ErrDeliveries: a message was given out again and again, and never answered.
	ErrDeliveries = errcode.New(errcode.TooManyDeliveries, "delivered too often")
)

// PanicError is a panic of a handler, as an error.
type PanicError = panics.Error

// PublishError says which messages of a Publish were not confirmed. It wraps the reasons.
type PublishError struct {
	Total  int // messages in the call
	Failed []FailedMessage
}

// FailedMessage is a message that was not confirmed, and why.
type FailedMessage struct {
	Index     int // in the call
	ID, Topic string
	Err       error
}

// Error implements error.
func (e *PublishError) Error() string {
	f := e.Failed[0]
	text := fmt.Sprintf("message %s to topic %s: %v", abbreviate(f.ID), abbreviate(f.Topic), f.Err)
	if e.Total > 1 {
		text = fmt.Sprintf("%d of %d messages are not confirmed: %s", len(e.Failed), e.Total, text)
	}
	return text
}

// ErrorCode implements errcode.Coded.
func (*PublishError) ErrorCode() errcode.Code { return errcode.PublishFailed }

// Unwrap gives the reasons.
func (e *PublishError) Unwrap() []error {
	reasons := make([]error, len(e.Failed))
	for i := range e.Failed {
		reasons[i] = e.Failed[i].Err
	}
	return reasons
}

// Permanent marks an error of a handler as one that another attempt will not cure: the message becomes a dead letter at
// once. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// invalid makes an ErrInvalid.
func invalid(format string, args ...any) error {
	return &inputError{kind: ErrInvalid, err: fmt.Errorf(format, args...)}
}

// tooLarge makes an ErrTooLarge.
func tooLarge(what string, got, limit int) error {
	return &inputError{kind: ErrTooLarge, err: fmt.Errorf("%s: %d is over the limit of %d", what, got, limit)}
}

// inputError is a fault of the input: its text is that of err alone, its kind is found by errors.Is.
type inputError struct{ kind, err error }

func (e *inputError) Error() string   { return e.err.Error() }
func (e *inputError) Unwrap() []error { return []error{e.kind, e.err} }

func abbreviate(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}
