package schema

import (
	"fmt"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrUnregistered: the registry does not know the Go type, or the stored name.
	ErrUnregistered = errcode.New(errcode.SchemaNotFound, "not registered")
	// ErrDuplicate: the name, or the Go type, is registered already.
	ErrDuplicate = errcode.New(errcode.Schema, "registered already")
	// ErrVersion: the event was stored in a version that is newer than the registered one, or older than the oldest.
	ErrVersion = errcode.New(errcode.SchemaNotFound, "unknown schema version")
	// ErrNewer: it is a newer one. It comes with ErrVersion.
	ErrNewer = errcode.New(errcode.SchemaNotFound, "a newer release wrote it")
	// ErrReplaced: events of the type are read as others, see Split and Drop: they are not written any more, and one of
	// them is not exactly one value.
	ErrReplaced = errcode.New(errcode.Schema, "replaced by other types")
	// ErrContentType: the event's data is in an encoding that its codec does not speak.
	ErrContentType = errcode.New(errcode.Schema, "unknown content type")
)

// DecodeError says which event could not be decoded. It wraps the reason.
type DecodeError struct {
	Type          string
	SchemaVersion int
	Stream        event.StreamID
	Version       event.Version
	Position      event.Position
	Err           error
}

// Error implements error.
func (e *DecodeError) Error() string {
	if e.Stream == "" { // of a message
		return fmt.Sprintf("decode event %s (schema version %d): %v", e.Type, e.SchemaVersion, e.Err)
	}
	return fmt.Sprintf("decode event %s (schema version %d) of stream %s, version %d, at position %d: %v",
		e.Type, e.SchemaVersion, e.Stream, e.Version, e.Position, e.Err)
}

// ErrorCode implements errcode.Coded.
func (*DecodeError) ErrorCode() errcode.Code { return errcode.Schema }

// Unwrap gives the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

func decodeError(e *event.Recorded, err error) error {
	return &DecodeError{
		Type: e.Type, SchemaVersion: e.SchemaVersion,
		Stream: e.Stream, Version: e.Version, Position: e.Position, Err: err,
	}
}
