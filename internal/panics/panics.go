// Package panics turns a recovered panic into an error. It knows nothing of what panicked.
package panics

import (
	"fmt"
	"runtime/debug"

	"lexigram.dev/events/errcode"
)

// Error is a panic of user code, as an error.
type Error struct {
	In    string // what panicked, such as "command orders.Place"
	Value any    // what panic was called with
	Stack []byte // of the goroutine, as debug.Stack gives it
}

// New makes an Error for a recovered value. Call it in the deferred function that recovered, so that the stack is the
// one of the panic.
func New(in string, value any) *Error {
	return &Error{In: in, Value: value, Stack: debug.Stack()}
}

// Error implements error. It leaves the stack out; log it from the field.
func (e *Error) Error() string { return fmt.Sprintf("%s: panic: %v", e.In, e.Value) }

// ErrorCode implements errcode.Coded.
func (*Error) ErrorCode() errcode.Code { return errcode.Panic }

// Unwrap gives the value that panic was called with if it was an error.
func (e *Error) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
