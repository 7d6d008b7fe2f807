package projection

import (
	"errors"
	"fmt"
	"strings"

	"lexigram.dev/events/store"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrUnknown: there is no projection of that name. It is a store.ErrNotFound.
	ErrUnknown = errors.New("unknown projection")
	// ErrBuilding: another generation is being built already.
	ErrBuilding = errors.New("a rebuild is running already")
	// ErrNotBuilding: there is nothing to cancel or to follow.
	ErrNotBuilding = errors.New("no rebuild is running")
	// ErrNoPrevious: there is no generation to switch back to.
	ErrNoPrevious = errors.New("there is no previous generation")
	// ErrCancelled: the rebuild that one waits for was cancelled.
	ErrCancelled = errors.New("the rebuild was cancelled")
	// ErrFixed: the projection keeps its read model elsewhere, and does not say how to remove a generation of it.
	ErrFixed = errors.New("cannot be rebuilt: set Options.Drop")
	// ErrNotHandling: documents are changed in handlers alone.
	ErrNotHandling = errors.New("documents are changed by the handlers of their own projection only")
	// ErrGone: the generation that is read, or written, was dropped meanwhile. Read again.
	ErrGone = errors.New("the generation was dropped")
	// ErrBehind: an inline projection is too far behind the log to catch up in an append.
	ErrBehind = errors.New("inline projection is behind")
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

// Unwrap gives the handler's error.
func (e *HandlerError) Unwrap() error { return e.Err }
