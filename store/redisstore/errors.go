package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/store"
)

// The errors that our scripts raise.
const (
	errNoStore  = "LXSTORE"   // the store is missing, or of another version than when it was opened
	errForeign  = "LXFOREIGN" // a key of ours is somebody else's
	errBadPages = "LXCORRUPT" // the pages of the log do not agree with its head
)

// ReplicationError says that a write was stored by the primary, but not confirmed by as many replicas as were asked
// for. It is a store.ErrUnavailable: the write is visible, and a failover may lose it. Appending again with the same ids
// waits again.
type ReplicationError struct {
	Confirmed, Wanted int
	Err               error // what broke the wait; nil: its time was over
}

// Error implements error.
func (e *ReplicationError) Error() string {
	text := fmt.Sprintf("stored on the primary, but confirmed by %d of %d replicas", e.Confirmed, e.Wanted)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// ErrorCode implements errcode.Coded.
func (*ReplicationError) ErrorCode() errcode.Code { return errcode.NotReplicated }

// Unwrap makes errors.Is(err, store.ErrUnavailable) true.
func (e *ReplicationError) Unwrap() []error { return []error{store.ErrUnavailable, e.Err} }

// kindError is an error of a kind of the port, with the driver's own error under it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// serverError is an error that the server answered with.
type serverError string

func (e serverError) Error() string { return string(e) }

// says reports whether the error is of a kind, in whatever wrapping: an error inside of a script is quoted in that of
// the script.
func (e serverError) says(codes ...string) bool {
	for _, code := range codes {
		if strings.HasPrefix(string(e), code) || strings.Contains(string(e), "-"+code) || strings.Contains(string(e), " "+code+" ") {
			return true
		}
	}
	return false
}

// asServerError gives the server's answer where err is one.
func asServerError(err error) (serverError, bool) {
	var raw serverError
	if errors.As(err, &raw) {
		return raw, true
	}
	var answered redis.Error
	if errors.As(err, &answered) && !errors.Is(err, redis.Nil) {
		return serverError(answered.Error()), true
	}
	return "", false
}

// translate gives an error of Redis or go-redis as one of the port's. The end of ctx wins: whatever broke then, broke
// because of it.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *kindError
	if errors.As(err, &known) { // translated before
		return err
	}
	if ended := endOf(ctx); ended != nil {
		if errors.Is(err, ended) {
			return err
		}
		return &kindError{kind: ended, err: err}
	}
	if kind := kindOf(err); kind != nil && !errors.Is(err, kind) {
		return &kindError{kind: kind, err: err}
	}
	return err
}

// endOf is ctx.Err, also in the moment in which the deadline has passed for a connection and not yet for the context.
func endOf(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

func kindOf(err error) error {
	if answer, ok := asServerError(err); ok {
		return answer.kind()
	}
	var netErr net.Error
	switch {
	case errors.Is(err, redis.ErrClosed):
		return store.ErrClosed
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return store.ErrUnavailable
	}
	return nil
}

func (e serverError) kind() error {
	switch {
	case e.says(errNoStore, errForeign, "WRONGTYPE"):
		return store.ErrIncompatible
	case e.says(errBadPages):
		return store.ErrCorrupt
	case e.says("OOM"):
		return store.ErrFull
	case e.says("READONLY"):
		return store.ErrReadOnly
	case e.says("LOADING", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM"),
		strings.Contains(string(e), "max number of clients"), strings.Contains(string(e), "AUTH"):
		return store.ErrUnavailable
	}
	return nil
}

// isTransient reports whether it is worth trying to reach the server again.
func isTransient(err error) bool {
	if answer, ok := asServerError(err); ok {
		return answer.says("LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY", "NOREPLICAS") ||
			strings.Contains(string(answer), "max number of clients")
	}
	return errors.Is(kindOf(err), store.ErrUnavailable)
}

// neverSent reports that the command cannot have reached the server, or that the server refused it before it began.
func neverSent(err error) bool {
	if _, answered := asServerError(err); answered {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, redis.ErrClosed)
}

// errUnknown says that an append may or may not have been stored.
func errUnknown(cause error) error {
	return &kindError{kind: store.ErrUnavailable, err: fmt.Errorf("the connection was lost before the answer came: whether the append was stored is unknown, append again with the same ids to find out: %w", cause)}
}

func readOnly() error {
	return &kindError{kind: store.ErrReadOnly, err: errors.New("it was opened so")}
}

// foreign says that a key of ours is used by another program.
func foreign(key string) error {
	return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("key %s is there and is not of this store: another program uses the same keys", key)}
}

func corrupt(format string, args ...any) error {
	return &kindError{kind: store.ErrCorrupt, err: fmt.Errorf(format, args...)}
}

// explain is translate, with what to do about a store that does not fit.
func (b *Backend) explain(ctx context.Context, err error) error {
	answer, ok := asServerError(err)
	switch {
	case ok && answer.says(errNoStore):
		err = fmt.Errorf("%s does not hold the store that was opened: was it removed? %w", b.options.Name, err)
	case ok && answer.says("WRONGTYPE", errForeign):
		err = fmt.Errorf("a key beginning with %s is not of this store, another program uses the same keys: %w", b.keys.prefix, err)
	}
	return translate(ctx, err)
}
