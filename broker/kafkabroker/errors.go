package kafkabroker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// kindError is an error of a kind of the port, with the client's own error under it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// translate gives an error of the client as one of the port. The client's errors hold no credentials. What ctx says
// comes first: the client wraps it in many ways.
func translate(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, broker.ErrClosed), errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrRefused),
		errors.Is(err, broker.ErrTooLarge), errors.Is(err, broker.ErrFull), errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrUnsupported):
		return err
	case errors.Is(err, kgo.ErrClientClosed):
		return broker.ErrClosed
	}
	return &kindError{kindOf(err), err}
}

func kindOf(err error) error {
	var (
		code        *kerr.Error
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
	)
	if errors.As(err, &certificate) || errors.As(err, &authority) {
		return broker.ErrRefused
	}
	if !errors.As(err, &code) {
		return broker.ErrUnavailable
	}
	switch code {
	case kerr.MessageTooLarge, kerr.RecordListTooLarge:
		return broker.ErrTooLarge
	case kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.SecurityDisabled,
		kerr.InvalidTopicException, kerr.InvalidReplicationFactor, kerr.InvalidPartitions, kerr.InvalidConfig, kerr.PolicyViolation,
		kerr.InvalidSessionTimeout, kerr.InconsistentGroupProtocol, kerr.GroupMaxSizeReached, kerr.UnsupportedVersion,
		kerr.UnsupportedForMessageFormat, kerr.InvalidRecord, kerr.FencedInstanceID, kerr.UnreleasedInstanceID:
		return broker.ErrRefused
	}
	return broker.ErrUnavailable
}

// unavailable makes an ErrUnavailable.
func unavailable(why string) error { return &kindError{broker.ErrUnavailable, errors.New(why)} }
