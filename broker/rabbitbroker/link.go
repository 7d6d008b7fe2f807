package rabbitbroker

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// link is a connection that is made when it is needed, and made again when it was lost. The client offers to reconnect by
// itself, but then goes on with streams whose messages are no longer theirs; here a stream that breaks is broken, and who
// calls next connects anew.
type link struct {
	broker *Broker
	name   string        // for the server's list of connections
	turn   chan struct{} // held by who connects

	mu  sync.Mutex
	now *connection // the last one; nil: none was made
}

// connection is one connection to the server. It is safe for concurrent use.
type connection struct {
	*amqp.Connection
	socket *socket
	flow   *flow
	idle   idlePublishers
}

func newLink(b *Broker, name string) *link {
	return &link{broker: b, name: name, turn: make(chan struct{}, 1)}
}

// forever has connect try until its context ends.
const forever = time.Duration(1<<63 - 1)

// connect gives the connection, making it if need be. A server that cannot be reached is tried again, for so long.
func (l *link) connect(ctx context.Context, patience time.Duration) (*connection, error) {
	if c := l.live(); c != nil {
		return c, nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.broker.closed:
		return nil, broker.ErrClosed
	}
	if c := l.live(); c != nil {
		return c, nil
	}
	var (
		begun = time.Now()
		pause = broker.Retry{Initial: 50 * time.Millisecond, Max: 2 * time.Second}.WithDefaults()
	)
	guesses := 0
	for failures := 1; ; failures++ {
		c, err := l.dial(ctx)
		if err == nil {
			return c, nil
		}
		wait := pause.Pause(failures)
		if isGuess(err) {
			guesses++
		} else {
			guesses = 0
		}
		passes := errors.Is(err, broker.ErrUnavailable) || guesses == 1
		if !passes || time.Since(begun)+wait > patience {
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, &kindError{kind: ctx.Err(), err: err} // what was wrong until then says more
		case <-l.broker.closed:
			return nil, broker.ErrClosed
		}
	}
}

// isGuess reports whether the client has guessed that it was refused, since the connection ended during the login. So does
// RabbitMQ end it for a wrong password, and so can the network: it is believed the second time.
func isGuess(err error) bool {
	return errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrVhost)
}

func (l *link) live() *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != nil && !l.now.IsClosed() && !l.now.socket.broken.Load() {
		return l.now
	}
	return nil
}

// dial makes a connection once, and on it the exchange.
func (l *link) dial(ctx context.Context) (*connection, error) {
	var (
		raw   *socket
		alive = func() bool { return ctx.Err() == nil } // stops watching ctx
	)
	timeout := 10 * time.Second
	if l.broker.uri.ConnectionTimeout > 0 {
		timeout = time.Duration(l.broker.uri.ConnectionTimeout) * time.Millisecond
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("lexigram events: " + l.name)
	config := amqp.Config{
		Properties: properties,
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			raw = &socket{Conn: conn}
			alive = context.AfterFunc(ctx, raw.abort)
			return raw, conn.SetDeadline(time.Now().Add(timeout)) // of the handshake; the client lifts it
		},
	}
	if l.broker.o.TLS != nil {
		config.TLSClientConfig = l.broker.o.TLS.Clone() // the client fills in the server's name
	}
	made, err := amqp.DialConfig(l.broker.url, config)
	if err == nil {
		err = l.broker.declareExchange(made)
	}
	if !alive() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if raw != nil {
			raw.abort()
		}
		return nil, l.broker.translate(ctx, err)
	}
	c := &connection{Connection: made, socket: raw}
	c.flow = watchFlow(c, l.broker)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broker.isClosed() {
		raw.abort()
		return nil, broker.ErrClosed
	}
	l.now = c
	return c, nil
}

// goodbye bounds the end of a connection in good order.
const goodbye = 5 * time.Second

// close ends the connection. The broker is marked as closed.
func (l *link) close() {
	l.mu.Lock()
	c := l.now
	l.mu.Unlock()
	if c == nil {
		return
	}
	patience := time.AfterFunc(goodbye, c.socket.abort)
	_ = c.CloseDeadline(time.Now().Add(goodbye)) // the server learns of it either way
	patience.Stop()
	c.socket.abort()
}
