package mongostore

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"lexigram.dev/events/store"
)

// The codes of server errors that tell a kind. See error_codes.yml of the MongoDB server.
const (
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeCursorNotFound       = 43
	codeDuplicateKey         = 11000
	codeTooLarge             = 10334
	codeOutOfDiskSpace       = 14031
)

// kindError is an error of a kind of the port, with the driver's own error under it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// translate gives an error of MongoDB or its driver as one of the port's. The end of ctx wins: whatever broke then,
// broke because of it.
func translate(ctx context.Context, err error) error {
	var known *kindError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case ctx.Err() != nil:
		return &kindError{kind: ctx.Err(), err: err}
	case errors.As(err, &known): // translated before
		return err
	}
	if kind := kindOf(err); kind != nil && !errors.Is(err, kind) {
		return &kindError{kind: kind, err: err}
	}
	return err
}

func kindOf(err error) error {
	var server mongo.ServerError
	switch {
	case errors.Is(err, mongo.ErrClientDisconnected):
		return store.ErrClosed
	case errors.As(err, &server) && (server.HasErrorCode(codeUnauthorized) || server.HasErrorCode(codeAuthenticationFailed)):
		return store.ErrUnavailable
	case errors.As(err, &server) && server.HasErrorCode(codeOutOfDiskSpace):
		return store.ErrFull
	case errors.As(err, &server) && server.HasErrorCode(codeTooLarge):
		return store.ErrTooLarge
	case isTransient(err):
		return store.ErrUnavailable
	}
	return nil
}

// isTransient reports whether it is worth trying to reach the server again.
func isTransient(err error) bool {
	var server mongo.ServerError
	if errors.As(err, &server) && server.HasErrorCode(codeAuthenticationFailed) {
		return false
	}
	if mongo.IsNetworkError(err) || mongo.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded) || isSelection(err) {
		return true
	}
	if !errors.As(err, &server) {
		return false
	}
	for _, label := range []string{"RetryableWriteError", "TransientTransactionError", "RetryableError"} {
		if server.HasErrorLabel(label) {
			return true
		}
	}
	// not primary, stepped down, shutting down, interrupted, write concern failed
	for _, code := range []int{6, 7, 64, 89, 91, 112, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436} {
		if server.HasErrorCode(code) {
			return true
		}
	}
	return false
}

func isDuplicate(err error) bool { return mongo.IsDuplicateKeyError(err) }

// errUnknown says that a write may or may not have been stored.
func errUnknown(what string, cause error) error {
	return &kindError{kind: store.ErrUnavailable, err: fmt.Errorf("the server was lost before the answer came: whether the %s was stored is unknown: %w", what, cause)}
}

func readOnly() error {
	return &kindError{kind: store.ErrReadOnly, err: errors.New("it was opened so")}
}

func corrupt(format string, args ...any) error {
	return &kindError{kind: store.ErrCorrupt, err: fmt.Errorf(format, args...)}
}

func tooLarge(what string, size, limit int) error {
	return &kindError{kind: store.ErrTooLarge, err: fmt.Errorf("%s: %d bytes are over the limit of %d for one MongoDB document", what, size, limit)}
}

// isSelection reports that no server could be reached.
func isSelection(err error) bool {
	var selection topology.ServerSelectionError
	return errors.As(err, &selection)
}
