package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/errcode"
	"lexigram.dev/events/store"
)

// Codes give errors names that both sides know: the server sends the name, and the client's error is (errors.Is) the one
// that it has under that name. Names are of a to z, 0 to 9, "_", "-" and "."; each side lists them in its options. The
// texts of such errors go to the client; so they must hold nothing that it may not know.
//
// Known without being listed are the kinds of this package and those of store (conflict, not_found, invalid, too_large,
// stream_deleted, id_reused, read_only, full, unavailable) and command (no_handler, timeout), and the context's.
type Codes map[string]error

// code is a name for a kind of errors.
type code struct {
	name   string
	kind   error
	public bool // the error's text goes to the client
}

// The codes that the server itself gives.
const (
	codeOK        = "ok"
	codeInternal  = "internal"
	codePanic     = "panic"
	codeMalformed = "malformed"
	codeUnknown   = "unknown_command"
	codeExpired   = "expired"
	codeStopped   = "interrupted"
	codeKeyReused = "key_reused"
	codeReplySize = "reply_too_large"
)

// ownCodes come only from the server itself.
func ownCodes() []code {
	return []code{
		{codeInternal, ErrInternal, false},
		{codePanic, ErrPanic, false},
		{codeMalformed, ErrMalformed, true},
		{codeUnknown, ErrUnknownCommand, true},
		{codeExpired, ErrExpired, true},
		{codeStopped, ErrInterrupted, true},
		{codeKeyReused, ErrKeyReused, true},
		{codeReplySize, ErrReplyTooLarge, true},
	}
}

// knownCodes are those of errors of handlers, the narrower ones first. The texts of faults of the infrastructure may
// name hosts and tables, and stay with the server.
func knownCodes() []code {
	return []code{
		{"conflict", store.ErrConflict, true},
		{"id_reused", store.ErrIDReused, true},
		{"stream_deleted", store.ErrStreamDeleted, true},
		{"not_found", store.ErrNotFound, true},
		{"invalid", store.ErrInvalid, true},
		{"too_large", store.ErrTooLarge, true},
		{"read_only", store.ErrReadOnly, false},
		{"full", store.ErrFull, false},
		{"unavailable", store.ErrUnavailable, false},
		{"no_handler", command.ErrNoHandler, false},
		{"timeout", command.ErrTimeout, false},
		{"deadline", context.DeadlineExceeded, false},
		{"canceled", context.Canceled, false},
	}
}

// list gives the codes that errors of handlers are looked up in: the user's own first, by name.
func (c Codes) list() []code {
	codes := make([]code, 0, len(c)+16)
	for _, name := range slices.Sorted(maps.Keys(c)) {
		codes = append(codes, code{name, c[name], true})
	}
	return append(codes, knownCodes()...)
}

// kinds gives the error of each code.
func (c Codes) kinds() map[string]error {
	kinds := map[string]error{}
	for _, known := range append(ownCodes(), c.list()...) {
		kinds[known.name] = known.kind
	}
	return kinds
}

func (c Codes) validate() error {
	taken := Codes(nil).kinds()
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(c)) {
		switch {
		case !isCode(name):
			faults = append(faults, fmt.Errorf("code %q: names are of a to z, 0 to 9, _, - and ., at most 64", name))
		case taken[name] != nil || name == codeOK:
			faults = append(faults, fmt.Errorf("code %q: the name has a meaning already", name))
		case c[name] == nil:
			faults = append(faults, fmt.Errorf("code %q: the error is nil", name))
		}
	}
	return errors.Join(faults...)
}

func isCode(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// The kinds of errors, beside those that Codes lists and those of broker. Test for them with errors.Is.
var (
	// ErrNoReply: no reply came before the deadline, or before the caller gave up. It comes with the context's error.
	// Whether the command was handled is unknown; with an idempotency key it can be sent again.
	ErrNoReply = errcode.New(errcode.OutcomeUnknown, "no reply")
	// ErrStopped: the client was stopped while the command was on its way. Whether it was handled is unknown.
	ErrStopped = errcode.New(errcode.OutcomeUnknown, "the client was stopped")
	// ErrRunning: the client runs already.
	ErrRunning = errcode.New(errcode.Running, "running already")
	// ErrExpired: the server got the request after its deadline, by the server's clock, and has not begun with it.
	ErrExpired = errcode.New(errcode.Timeout, "the deadline has passed")
	// ErrUnknownCommand: the server has no command of this name.
	ErrUnknownCommand = errcode.New(errcode.NoHandler, "unknown command")
	// ErrMalformed: the server cannot read the request, for example since it is of a newer version.
	ErrMalformed = errcode.New(errcode.Malformed, "malformed request")
	// ErrInterrupted: the server stopped while it handled the command. Whether it took effect is unknown.
	ErrInterrupted = errcode.New(errcode.OutcomeUnknown, "interrupted by the server's end")
	// ErrKeyReused: the idempotency key was used for another command.
	ErrKeyReused = errcode.New(errcode.KeyReused, "the idempotency key belongs to another command")
	// ErrReplyTooLarge: the command was handled, but its result is over the limit of messages. It is a broker.ErrTooLarge.
	ErrReplyTooLarge = errcode.With(errcode.TooLarge, fmt.Errorf("the command was handled, but its result cannot be sent: %w", broker.ErrTooLarge))
	// ErrPanic: the handler panicked. The server's OnError was told the details.
	ErrPanic = errcode.New(errcode.Panic, "the handler panicked")
	// ErrInternal: the handler failed with an error that has no code. The server's OnError was told the details.
	ErrInternal = errcode.New(errcode.CommandFailed, "the handler failed")
	// ErrResult: the result cannot be read as what was asked for. The command was handled.
	ErrResult = errcode.New(errcode.ResultType, "other result type")
)

// Error is what the server says about a command that failed.
type Error struct {
	Command string // its name
	Request string // the request's id, which the server's own reports name
	Code    string
	Message string // what the server says; empty where that stays with it

	kind error // nil: a code that this client does not know
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Message != "":
		return e.Message
	case e.kind != nil:
		return fmt.Sprintf("%v; the server has the details under request %s", e.kind, e.Request)
	}
	return fmt.Sprintf("failed with code %q", e.Code)
}

// ErrorCode implements errcode.Coded: that of the kind where it is known, else of a command that failed.
func (e *Error) ErrorCode() errcode.Code {
	if code, ok := errcode.Of(e.kind); ok {
		return code
	}
	return errcode.CommandFailed
}

// Unwrap gives the kind of the error; nil where the client does not know the code.
func (e *Error) Unwrap() error { return e.kind }
