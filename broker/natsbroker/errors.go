package natsbroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

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

// The codes of JetStream's answers: https://github.com/nats-io/nats-server/blob/main/server/errors.json
const (
	codeAccountLimits      jetstream.ErrorCode = 10002
	codeNoPeers            jetstream.ErrorCode = 10005 // too few servers of the cluster run
	codeUnavailable        jetstream.ErrorCode = 10008 // JetStream as a whole, for now
	codeNoLeader           jetstream.ErrorCode = 10009
	codeResources          jetstream.ErrorCode = 10023
	codeMemory             jetstream.ErrorCode = 10028
	codeStorage            jetstream.ErrorCode = 10047
	codeTooLarge           jetstream.ErrorCode = 10054
	codeStoreFailed        jetstream.ErrorCode = 10077 // a limit of the stream
	codeStreamOffline      jetstream.ErrorCode = 10118
	codeSameIDUnderWay     jetstream.ErrorCode = 10158
	codeTooManyRequests    jetstream.ErrorCode = 10167
	codeStreamOfflineFor   jetstream.ErrorCode = 10194 // with a reason
	codeConsumerOfflineFor jetstream.ErrorCode = 10195
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
	var (
		netErr  net.Error
		proof   *tls.CertificateVerificationError
		hangsUp tls.AlertError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &proof), errors.As(err, &hangsUp), errors.As(err, &record):
		return broker.ErrRefused
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
	switch e.ErrorCode {
	case codeTooLarge:
		return broker.ErrTooLarge
	case codeAccountLimits, codeResources, codeMemory, codeStorage, codeStoreFailed, codeTooManyRequests:
		return broker.ErrFull
	case codeNoPeers, codeUnavailable, codeNoLeader, codeStreamOffline, codeSameIDUnderWay, codeStreamOfflineFor, codeConsumerOfflineFor:
		return broker.ErrUnavailable
	}
	return broker.ErrRefused
}
