package store

import (
	"fmt"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
)

// The kinds of errors. Test for them with errors.Is; the types below carry the details.
var (
	// ErrConflict: the stream or the log is not as the append expected. Load again, decide again.
	ErrConflict = errcode.New(errcode.Conflict, "conflict")
	// ErrIDReused: an event id is in the store already, with other content, in another stream or in another commit.
	ErrIDReused = errcode.New(errcode.IDReused, "event id reused")
	// ErrStreamDeleted: the stream ended with a tombstone.
	ErrStreamDeleted = errcode.New(errcode.StreamDeleted, "stream is deleted")
	// ErrNotFound: no such stream, or no such record.
	ErrNotFound = errcode.New(errcode.NotFound, "not found")
	// ErrInvalid: the input is malformed. Nothing was written.
	ErrInvalid = errcode.New(errcode.Invalid, "invalid input")
	// ErrTooLarge: the input exceeds a limit. Nothing was written.
	ErrTooLarge = errcode.New(errcode.TooLarge, "over the limit")
	// ErrUnavailable: the backend cannot be reached or does not answer. An append may have been stored: append again
	// with the same ids to find out.
	ErrUnavailable = errcode.New(errcode.StoreUnavailable, "backend unavailable")
	// ErrClosed: the store was closed.
	ErrClosed = errcode.New(errcode.Closed, "store is closed")
	// ErrReadOnly: the backend does not accept writes.
	ErrReadOnly = errcode.New(errcode.ReadOnly, "backend is read-only")
	// ErrFull: the backend's disk or quota is full.
	ErrFull = errcode.New(errcode.StoreFull, "backend is full")
	// ErrIncompatible: what is there is no store, or one of a version that this program does not know, or one that must
	// be migrated first.
	ErrIncompatible = errcode.New(errcode.StoreIncompatible, "incompatible")
	// ErrCorrupt: the stored data is damaged.
	ErrCorrupt = errcode.New(errcode.Corrupt, "store is corrupt")
	// ErrUnsupported: the backend lacks the capability.
	ErrUnsupported = errcode.New(errcode.Unsupported, "not supported by this backend")
)

// ConflictError says which expectation of an append was not met.
type ConflictError struct {
	Stream   event.StreamID // the stream that was not as expected; "" where it was the condition
	Expected Expected
	Actual   event.Version  // version of the stream; 0: no stream
	Matched  event.Position // of an event that the condition forbids; 0 where it was a stream
	After    event.Position // of the condition
}

// Error implements error.
func (e *ConflictError) Error() string {
	if e.Stream == "" {
		return fmt.Sprintf("conflict: the condition allows no matching event after position %d, but there is one at %d", e.After, e.Matched)
	}
	if e.Actual == 0 {
		return fmt.Sprintf("conflict: expected %s, but stream %s does not exist", e.Expected, e.Stream)
	}
	return fmt.Sprintf("conflict: expected %s, but stream %s is at version %d", e.Expected, e.Stream, e.Actual)
}

// ErrorCode implements errcode.Coded.
func (*ConflictError) ErrorCode() errcode.Code { return errcode.Conflict }

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// IDReusedError says which id is in the store already, and where.
type IDReusedError struct {
	ID       event.ID
	Stream   event.StreamID // where the id is stored; "" where the backend does not know
	Position event.Position
	Reason   string // what differs
}

// Error implements error.
func (e *IDReusedError) Error() string {
	return fmt.Sprintf("event id %s is already stored in stream %s at position %d: %s", e.ID, e.Stream, e.Position, e.Reason)
}

// ErrorCode implements errcode.Coded.
func (*IDReusedError) ErrorCode() errcode.Code { return errcode.IDReused }

// Is makes errors.Is(err, ErrIDReused) true.
func (e *IDReusedError) Is(target error) bool { return target == ErrIDReused }

// StreamDeletedError names the deleted stream.
type StreamDeletedError struct{ Stream event.StreamID }

// Error implements error.
func (e *StreamDeletedError) Error() string {
	return fmt.Sprintf("stream %s is deleted: its name cannot be used again", e.Stream)
}

// ErrorCode implements errcode.Coded.
func (*StreamDeletedError) ErrorCode() errcode.Code { return errcode.StreamDeleted }

// Is makes errors.Is(err, ErrStreamDeleted) true.
func (e *StreamDeletedError) Is(target error) bool { return target == ErrStreamDeleted }

// RevisionError says which record was not as an operation expected. It is an ErrConflict.
type RevisionError struct {
	Bucket, Key string
	Expected    Revision // 0: absent
	Actual      Revision // 0: absent
}

// Error implements error.
func (e *RevisionError) Error() string {
	return fmt.Sprintf("conflict: record %s/%s: expected %s, found %s", e.Bucket, e.Key, e.Expected.phrase(), e.Actual.phrase())
}

// ErrorCode implements errcode.Coded.
func (*RevisionError) ErrorCode() errcode.Code { return errcode.Conflict }

// Is makes errors.Is(err, ErrConflict) true.
func (e *RevisionError) Is(target error) bool { return target == ErrConflict }

func (r Revision) phrase() string {
	if r == 0 {
		return "no record"
	}
	return fmt.Sprintf("revision %d", r)
}

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
