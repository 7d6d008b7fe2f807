package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
)

// kindError is an error of a kind of the port, with the client's own error under it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

func unavailable(format string, args ...any) error {
	return &kindError{kind: broker.ErrUnavailable, err: fmt.Errorf(format, args...)}
}

func refused(format string, args ...any) error {
	return &kindError{kind: broker.ErrRefused, err: fmt.Errorf(format, args...)}
}

// The codes of JetStream's answers that say that there is no room.
// https://github.com/nats-io/nats-server/blob/main/server/errors.json
var fullCodes = map[jetstream.ErrorCode]bool{
	10023: true, // insufficient resources
	10028: true, // resource limits exceeded for account
	10047: true, // insufficient storage resources
	10077: true, // a limit of the stream, by its text: see kindOf
	10122: true, // server storage limits
	10167: true, // too many requests
}

// The codes of those that pass by themselves.
var passingCodes = map[jetstream.ErrorCode]bool{
	10008: true, // JetStream system temporarily unavailable
	10009: true, // peer not a member
	10074: true, // stream is offline
	10118: true, // server is offline
	10158: true, // server not ready yet
	10194: true, // stream is offline, with a reason
	10195: true, // consumer is offline, with a reason
}

const (
	codeTooLarge      jetstream.ErrorCode = 10054 // message exceeds the stream's maximum
	codeStoreFailed   jetstream.ErrorCode = 10077 // the server's text says why
	codeNoSuchStream                      = jetstream.JSErrCodeStreamNotFound
	codeConsumerThere                     = jetstream.JSErrCodeConsumerExists
)

// translate gives an error of the client as one of the port's. The end of ctx wins.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *kindError
	if errors.As(err, &known) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		if cause := context.Cause(ctx); errors.As(cause, &known) || errors.Is(cause, broker.ErrClosed) {
			return cause
		}
		if errors.Is(err, ended) {
			return err
		}
		return &kindError{kind: ended, err: err}
	}
	if kind := kindOf(err); kind != nil {
		return &kindError{kind: kind, err: err}
	}
	return err
}

func kindOf(err error) error {
	var answer *jetstream.APIError
	if errors.As(err, &answer) {
		return kindOfAnswer(answer)
	}
	var netErr net.Error
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, nats.ErrAuthExpired),
		errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrNkeysNotSupported),
		errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return broker.ErrRefused
	case errors.Is(err, nats.ErrMaxPayload):
		return broker.ErrTooLarge
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting),
		errors.Is(err, nats.ErrStaleConnection), errors.Is(err, nats.ErrMaxConnectionsExceeded), errors.Is(err, nats.ErrMaxAccountConnectionsExceeded),
		errors.Is(err, nats.ErrBadSubscription), errors.Is(err, nats.ErrConnectionDraining),
		errors.Is(err, io.EOF), errors.As(err, &netErr), errors.Is(err, context.DeadlineExceeded):
		return broker.ErrUnavailable
	}
	return nil
}

// kindOfAnswer is the kind of an answer of JetStream. What is not known to pass by itself is a refusal.
func kindOfAnswer(e *jetstream.APIError) error {
	switch {
	case e.ErrorCode == codeTooLarge:
		return broker.ErrTooLarge
	case fullCodes[e.ErrorCode] || e.ErrorCode == codeStoreFailed:
		return broker.ErrFull
	case passingCodes[e.ErrorCode] || e.Code == http.StatusServiceUnavailable && e.ErrorCode == 0:
		return broker.ErrUnavailable
	case errors.Is(e, jetstream.ErrJetStreamNotEnabled):
		return broker.ErrRefused
	}
	return broker.ErrRefused
}
