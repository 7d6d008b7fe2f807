package projection

import (
	"fmt"
	"strings"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/store"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrUnknown: there is no projection of that name. It is a store.ErrNotFound.
	ErrUnknown = errcode.New(errcode.ProjectionNotFound, "unknown projection")
	// ErrBuilding: another generation is being built already.
	ErrBuilding = errcode.New(errcode.RebuildRefused, "a rebuild is running already")
	// ErrNotBuilding: there is nothing to cancel or to follow.
	ErrNotBuilding = errcode.New(errcode.RebuildRefused, "no rebuild is running")
	// ErrNoPrevious: there is no generation to switch back to.
	ErrNoPrevious = errcode.New(errcode.RebuildRefused, "there is no previous generation")
	// ErrCancelled: the rebuild that one waits for was cancelled.
	ErrCancelled = errcode.New(errcode.RebuildRefused, "the rebuild was cancelled")
	// ErrFixed: the projection keeps its read model elsewhere, and does not say how to remove a generation of it.
	ErrFixed = errcode.New(errcode.RebuildRefused, "cannot be rebuilt: set Options.Drop")
	// ErrNotHandling: documents are changed in handlers alone.
	ErrNotHandling = errcode.New(errcode.NotHandling, "documents are changed by the handlers of their own projection only")
	// ErrGone: the generation that is read, or written, was dropped meanwhile. Read again.
	ErrGone = errcode.New(errcode.RebuildRefused, "the generation was dropped")
	// ErrBehind: an inline projection is too far behind the log to catch up in an append.
	ErrBehind = errcode.New(errcode.ProjectionBehind, "inline projection is behind")
)

// UnknownError names the projections that there are.
type UnknownError struct {
	Name  string
	Known []string
}

// Error implements error.
func (e *UnknownError) Error() string {
	known := "none has ever run on this store"
	if len(e.Known) > 0 {
		known = "known are " + strings.Join(e.Known, ", ")
	}
	return fmt.Sprintf("unknown projection %q: %s", e.Name, known)
}

// ErrorCode implements errcode.Coded.
func (*UnknownError) ErrorCode() errcode.Code { return errcode.ProjectionNotFound }

// Is makes it an ErrUnknown and a store.ErrNotFound.
func (e *UnknownError) Is(target error) bool {
	return target == ErrUnknown || target == store.ErrNotFound
}

// HandlerError says which event a handler has failed at.
type HandlerError struct {
	Projection string
	Generation int64
	Type       string
	Position   int64
	Err        error
}

// Error implements error.
func (e *HandlerError) Error() string {
	return fmt.Sprintf("projection %s (generation %d): event %s at position %d: %v", e.Projection, e.Generation, e.Type, e.Position, e.Err)
}

// ErrorCode implements errcode.Coded.
func (*HandlerError) ErrorCode() errcode.Code { return errcode.ProjectionFailed }

// Unwrap gives the handler's error.
func (e *HandlerError) Unwrap() error { return e.Err }
