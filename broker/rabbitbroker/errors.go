package rabbitbroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// kindError is an error of a kind of the port, with the driver's own error under it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

func kindOf(kind error, format string, args ...any) error {
	return &kindError{kind: kind, err: fmt.Errorf(format, args...)}
}

// unavailable says that the server is not there, or was lost.
func unavailable(format string, args ...any) error {
	return kindOf(broker.ErrUnavailable, format, args...)
}

// translate gives an error of the client or the server as one of the port's. Once this program has closed the broker, or
// ended the context, that is the reason of whatever breaks.
func (b *Broker) translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *kindError
	switch {
	case b.isClosed():
		return broker.ErrClosed
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		if errors.Is(err, ctx.Err()) {
			return err
		}
		return &kindError{kind: ctx.Err(), err: err}
	}
	return classify(err)
}

// classify tells the kind of an error.
func classify(err error) error {
	var said *amqp.Error
	if errors.As(err, &said) {
		return &kindError{kind: said2kind(said), err: explain(said)}
	}
	var (
		proof   *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		network net.Error
	)
	switch {
	case errors.As(err, &proof), errors.As(err, &record), errors.As(err, &alert):
		return &kindError{kind: broker.ErrRefused, err: err}
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &kindError{kind: broker.ErrUnavailable, err: err}
	}
	return &kindError{kind: broker.ErrUnavailable, err: err}
}

// said2kind sorts what the server says. What is not its settled will is a matter of time.
func said2kind(e *amqp.Error) error {
	says := func(text string) bool { return strings.Contains(e.Reason, text) }
	switch e.Code {
	case amqp.ContentTooLarge:
		return broker.ErrTooLarge
	case amqp.PreconditionFailed:
		switch {
		case says("larger than") || says("max size"):
			return broker.ErrTooLarge
		case says("acknowledgement") || says("delivery tag") || says("timed out") || says("timeout"):
			return broker.ErrUnavailable
		}
		return broker.ErrRefused
	case amqp.NotAllowed:
		if says("limit") || says("is down") { // of connections or channels; of a virtual host that starts
			return broker.ErrUnavailable
		}
		return broker.ErrRefused
	case amqp.AccessRefused, amqp.ResourceLocked, amqp.NotImplemented, amqp.InvalidPath:
		return broker.ErrRefused
	}
	return broker.ErrUnavailable
}

// explain says what to do about it, where that is not plain.
func explain(e *amqp.Error) error {
	switch {
	case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "alternate-exchange"):
		return fmt.Errorf("the exchange was made with another number of partitions, or not by this driver: %w", e)
	case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "inequivalent"):
		return fmt.Errorf("it is there with other settings: use the same everywhere, or remove it: %w", e)
	}
	return e
}

func isNotFound(err error) bool {
	var said *amqp.Error
	return errors.As(err, &said) && said.Code == amqp.NotFound
}
