package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/errcode"
)

// errLost is what our scripts say to a member whose lease is over.
const errLost = "LXLOST"

// ReplicationError says that messages were stored by the primary, but not confirmed by as many replicas as were asked for.
// It is a broker.ErrUnavailable: the messages will be delivered, and a failover may lose them.
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

// Unwrap makes errors.Is(err, broker.ErrUnavailable) true.
func (e *ReplicationError) Unwrap() []error { return []error{broker.ErrUnavailable, e.Err} }

// kindError is an error of a kind of the port, with the driver's own error under it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// answer gives the error that the server answered with; "" where err is none.
func answer(err error) string {
	var answered redis.Error
	if errors.As(err, &answered) && !errors.Is(err, redis.Nil) {
		return answered.Error()
	}
	return ""
}

// says reports whether the server's answer is of a kind, in whatever wrapping: an error inside of a script is quoted in
// that of the script.
func says(text string, codes ...string) bool {
	for _, code := range codes {
		if strings.HasPrefix(text, code) || strings.Contains(text, "-"+code) || strings.Contains(text, " "+code+" ") {
			return true
		}
	}
	return false
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
	if text := answer(err); text != "" {
		return kindOfAnswer(text)
	}
	var netErr net.Error
	switch {
	case errors.Is(err, redis.ErrClosed):
		return broker.ErrClosed
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return broker.ErrUnavailable
	}
	return nil
}

// kindOfAnswer sorts the server's errors. READONLY is that of a replica, or of a primary that has become one, and passes
// with the failover; opening a replica is refused apart from this.
func kindOfAnswer(text string) error {
	switch {
	case says(text, "OOM"):
		return broker.ErrFull
	case says(text, "WRONGTYPE", "NOAUTH", "WRONGPASS", "NOPERM"), strings.Contains(text, "AUTH"), strings.Contains(text, "unknown command"),
		strings.Contains(text, "bigger than the maximum"):
		return broker.ErrRefused
	}
	return broker.ErrUnavailable // LOADING, MISCONF, READONLY, MASTERDOWN, CLUSTERDOWN, NOREPLICAS, NOGROUP, BUSY and the like
}

// passes reports whether it is worth trying to reach the server again.
func passes(err error) bool { return errors.Is(err, broker.ErrUnavailable) }

func errReply(format string, args ...any) error {
	return &kindError{kind: broker.ErrUnavailable, err: fmt.Errorf("an answer that was not expected: "+format, args...)}
}
