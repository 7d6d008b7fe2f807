package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
)

// retryPause is how long opening waits between attempts to reach the server.
const retryPause = 200 * time.Millisecond

// connect dials until it succeeds, is refused, or ctx ends.
func (b *Backend) connect(ctx context.Context, server settings) error {
	for {
		err := b.dial(server)
		if err == nil {
			err = b.checkServer(ctx)
		}
		if err == nil {
			return nil
		}
		if b.conn != nil {
			b.conn.Close()
		}
		if err = translate(context.WithoutCancel(ctx), err); !errors.Is(err, broker.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return &kindError{kind: ctx.Err(), err: err}
		}
	}
}

func (b *Backend) dial(server settings) error {
	o := nats.GetDefaultOptions()
	for _, set := range append(server.client, b.options.Client...) {
		if err := set(&o); err != nil {
			return &kindError{kind: broker.ErrInvalid, err: errors.New("a setting of the connection is not valid: a file cannot be read, or its content is malformed")}
		}
	}
	if len(o.Servers) == 0 {
		o.Servers = server.hosts
	}
	if o.Name == "" {
		o.Name = "lexigram-events"
	}
	o.AllowReconnect, o.MaxReconnect, o.ReconnectWait, o.ReconnectJitter = true, -1, 100*time.Millisecond, 100*time.Millisecond
	o.IgnoreAuthErrorAbort = true // credentials may be rotated while we run
	o.ReconnectBufSize = -1       // what cannot be sent fails at once: its answer would be lost
	o.DisconnectedErrCB = func(*nats.Conn, error) { b.disconnected() }
	o.ReconnectedCB = func(*nats.Conn) { b.reconnected() }
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { b.reported(err) }
	o.ClosedCB = nil
	conn, err := o.Connect()
	if err != nil {
		b.conn = nil
		return err
	}
	b.conn = conn
	b.js, err = jetstream.New(conn)
	return err
}

// checkServer reports a server that has no JetStream for us.
func (b *Backend) checkServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.options.Timeout)
	defer cancel()
	_, err := b.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return refused("the server has no JetStream for this account: start it with -js")
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return nil // perhaps it may not be asked: the stream will tell
	}
	return err
}

// disconnected ends what the lost connection takes with it.
func (b *Backend) disconnected() {
	err := unavailable("the connection to the server was lost")
	if a := b.inbox.Load(); a != nil {
		a.failAll(err)
	}
	for _, s := range b.openStreams() {
		s.lose(err)
	}
}

// reconnected wakes those who wait for the connection.
func (b *Backend) reconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.connected)
	b.connected = make(chan struct{})
}

// waitConnected waits for the connection to be there.
func (b *Backend) waitConnected(ctx context.Context) error {
	for {
		b.mu.Lock()
		again := b.connected
		b.mu.Unlock()
		if b.conn.IsConnected() {
			return nil
		}
		select {
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "([^"]+)"`)

// reported hears of errors that belong to no call: a permission that is missing ends the calls that need it, since the
// server does not answer them.
func (b *Backend) reported(err error) {
	found := violation.FindStringSubmatch(err.Error())
	if found == nil {
		return
	}
	cause := refused("no permission for %s to %s", strings.ToLower(found[1]), found[2])
	if a := b.inbox.Load(); a != nil {
		a.failSubject(found[2], cause)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.calls {
		if strings.Contains(found[2], c.subject) {
			c.cancel(cause)
		}
	}
}

// call is a request to JetStream's API that is under way.
type call struct {
	subject  string // a part of what it is sent to
	farewell bool   // goes on when the backend is closed
	cancel   context.CancelCauseFunc
}

// farewellKey marks the context of what streams do when they leave.
type farewellKey struct{}

// call makes a request with the timeout. It ends when the backend is closed, and when the server says that a permission is
// missing for a subject with this part.
func (b *Backend) call(ctx context.Context, subject string, f func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &call{subject: subject, cancel: cancel, farewell: ctx.Value(farewellKey{}) != nil}
	b.mu.Lock()
	if b.closed && !c.farewell {
		b.mu.Unlock()
		return broker.ErrClosed
	}
	b.calls[c] = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.calls, c)
		b.mu.Unlock()
	}()
	late := unavailable("no answer for %v", b.options.Timeout)
	limited, stop := context.WithTimeoutCause(limited, b.options.Timeout, late)
	defer stop()
	err := f(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		if cause := context.Cause(limited); cause != nil {
			return cause
		}
	}
	if errors.Is(err, broker.ErrClosed) {
		return broker.ErrClosed
	}
	return translate(ctx, err)
}

func (b *Backend) location() string {
	if addr := b.conn.ConnectedAddr(); addr != "" {
		return addr
	}
	return fmt.Sprintf("%s (not connected)", b.hosts)
}
