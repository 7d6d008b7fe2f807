package websocket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	ws "github.com/coder/websocket"

	"lexigram.dev/events/event"
	"lexigram.dev/events/stream"
)

// StatusUnauthorized is the code with which the connection of a client is closed that is not let in.
const StatusUnauthorized = 4401

// readLimit is the greatest message that a client may send, in bytes. All that it has to say is "ping".
const readLimit = 1024

// Options are the settings of a handler; the zero value works.
type Options struct {
	// PingInterval is how often a client is pinged while no events are sent. Defaults to 30 s.
	PingInterval time.Duration

	// WriteTimeout is how long a client may take to receive an event or to answer a ping; then it is disconnected.
	// Defaults to 10 s.
	WriteTimeout time.Duration

	// Origins are the hosts, such as "*.example.com", whose pages may connect besides those of the server itself. Defaults
	// to none.
	Origins []string
}

// Wanted reports whether a request asks for a WebSocket.
func Wanted(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// NewHandler serves the feed: each message is the text of a stream.Frame. stream.Parse says what requests may ask for; a
// client remembers the position that it saw last, and comes again with the parameter "after".
//
// A request that is no WebSocket handshake gets 400. Where authorize refuses (nil refuses all), the connection is closed with
// StatusUnauthorized before anything is sent. A client that cannot keep up is closed with 1013 (try again later), and all
// with 1001 (going away) when the feed ends. The message {"type":"ping"} is answered by {"type":"pong"}; any other closes
// the connection with 1003 (unsupported).
func NewHandler(feed *stream.Feed, authorize stream.Authorize, o Options) http.Handler {
	if o.PingInterval <= 0 {
		o.PingInterval = 30 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 10 * time.Second
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Wanted(r) {
			http.Error(w, "only WebSocket is served here", http.StatusBadRequest)
			return
		}
		filter, after, err := stream.Parse(r)
		if err != nil {
			stream.Refuse(w, err)
			return
		}
		allowed := authorize != nil && authorize(r, filter)
		var s *stream.Subscription
		if allowed {
			if s, err = feed.Subscribe(r.Context(), filter, after); err != nil {
				stream.Refuse(w, err)
				return
			}
			defer s.Close()
		}
		conn, err := ws.Accept(w, r, &ws.AcceptOptions{OriginPatterns: o.Origins})
		if err != nil {
			return // it has answered
		}
		defer func() { _ = conn.CloseNow() }()
		conn.SetReadLimit(readLimit)
		if !allowed {
			_ = conn.Close(StatusUnauthorized, "unauthorized")
			return
		}
		client{conn, s, o}.serve(r.Context())
	})
}

// client is one connection.
type client struct {
	conn *ws.Conn
	s    *stream.Subscription
	o    Options
}

// errUnsupported is about a message of a client that is no ping.
var errUnsupported = errors.New("only {\"type\":\"ping\"} is understood")

// serve sends until the client has gone or the subscription has ended, and closes the connection.
func (c client) serve(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	var listening sync.WaitGroup
	defer listening.Wait()
	defer cancel(nil)
	listening.Go(func() { cancel(c.listen(ctx)) })
	err := c.s.Follow(ctx, c.o.PingInterval, func(events []event.Recorded) error {
		for _, e := range events {
			frame, err := stream.Encode(e)
			if err == nil {
				err = c.send(ctx, frame)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func() error {
		ctx, cancel := context.WithTimeout(ctx, c.o.WriteTimeout)
		defer cancel()
		return c.conn.Ping(ctx)
	})
	_ = c.conn.Close(closing(err, context.Cause(ctx), c.s.Position())) // while listen reads on: it gets the client's answer
}

// closing says how to close after an error of the feed, or one of listen.
func closing(err, heard error, position event.Position) (ws.StatusCode, string) {
	switch {
	case errors.Is(err, stream.ErrSlow):
		return ws.StatusTryAgainLater, fmt.Sprintf("slow subscriber: resume after position %d", position)
	case errors.Is(err, stream.ErrClosed):
		return ws.StatusGoingAway, "the feed has ended"
	case errors.Is(heard, errUnsupported):
		return ws.StatusUnsupportedData, errUnsupported.Error()
	default: // the client has gone, or does not answer
		return ws.StatusInternalError, "the connection is broken"
	}
}

func (c client) send(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.WriteTimeout)
	defer cancel()
	return c.conn.Write(ctx, ws.MessageText, text)
}

// listen answers the client's pings, until it has gone. The connection must always be read from: that is how answers to our
// pings are seen.
func (c client) listen(ctx context.Context) error {
	for {
		_, text, err := c.conn.Read(ctx)
		if err != nil {
			return err
		}
		var message struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(text, &message) != nil || message.Type != "ping" {
			return errUnsupported
		}
		if err := c.send(ctx, []byte(`{"type":"pong"}`)); err != nil {
			return err
		}
	}
}
