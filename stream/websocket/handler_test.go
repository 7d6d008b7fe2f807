package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ws "github.com/coder/websocket"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/stream"
	"lexigram.dev/events/stream/websocket"
)

// world is a feed that runs and is served.
type world struct {
	store *store.Store
	feed  *stream.Feed
	url   string
	stop  func()
	left  chan struct{} // receives when a request has ended
}

func serving(t *testing.T, authorize stream.Authorize, feed stream.Options, o websocket.Options) *world {
	t.Helper()
	w := &world{store: store.New(memstore.New(memstore.Options{}), store.Options{}), left: make(chan struct{}, 10)}
	w.feed = stream.New(w.store, feed)
	h := websocket.NewHandler(w.feed, authorize, o)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer func() { w.left <- struct{}{} }()
		h.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- w.feed.Run(ctx)
		close(done)
	}()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(w.stop)
	return w
}

func (w *world) add(t *testing.T, stream event.StreamID) {
	t.Helper()
	if _, err := w.store.Append(t.Context(), stream, store.Any(), event.Pending{Type: "thing.done", Data: []byte(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) dial(t *testing.T, query string, o *ws.DialOptions) *ws.Conn {
	t.Helper()
	conn, _, err := ws.Dial(t.Context(), w.url+query, o) //nolint:bodyclose // the connection is closed instead
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// refused gives the status with which a handshake is refused.
func (w *world) refused(t *testing.T, query string, header http.Header) int {
	t.Helper()
	_, response, err := ws.Dial(t.Context(), w.url+query, &ws.DialOptions{HTTPHeader: header}) //nolint:bodyclose // it is in memory
	if err == nil {
		t.Fatal("it is accepted")
	}
	return response.StatusCode
}

func next(t *testing.T, conn *ws.Conn) string {
	t.Helper()
	_, text, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func closed(t *testing.T, conn *ws.Conn, want ws.StatusCode) {
	t.Helper()
	for {
		_, text, err := conn.Read(t.Context())
		if err != nil {
			if got := ws.CloseStatus(err); got != want {
				t.Errorf("closed with %d (%v), want %d", got, err, want)
			}
			return
		}
		t.Logf("got %s", text)
	}
}

func TestAClientGetsFramesFromItsPositionOnAndThenLive(t *testing.T) {
	w := serving(t, stream.Everyone, stream.Options{}, websocket.Options{})
	w.add(t, "order-1")
	w.add(t, "user-1")
	w.add(t, "order-2")
	conn := w.dial(t, "?after=1&category=order", nil)
	for _, name := range []event.StreamID{"order-2", "order-3"} {
		if name == "order-3" {
			w.add(t, name)
		}
		var frame stream.Frame
		if err := json.Unmarshal([]byte(next(t, conn)), &frame); err != nil || frame.Stream != name || string(frame.Data) != `{"a":1}` {
			t.Errorf("got %+v, %v; want %s", frame, err, name)
		}
	}
}

func TestAPingIsAnsweredAndAnythingElseClosesTheConnection(t *testing.T) {
	w := serving(t, stream.Everyone, stream.Options{}, websocket.Options{})
	conn := w.dial(t, "", nil)
	if err := conn.Write(t.Context(), ws.MessageText, []byte(`{"type":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	if got := next(t, conn); got != `{"type":"pong"}` {
		t.Errorf("got %s", got)
	}
	if err := conn.Write(t.Context(), ws.MessageText, []byte(`{"type":"subscribe"}`)); err != nil {
		t.Fatal(err)
	}
	closed(t, conn, ws.StatusUnsupportedData)
	<-w.left
}

func TestAnIdleClientIsPingedAndOneThatDoesNotAnswerIsDisconnected(t *testing.T) {
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprint("answers ", answers), func(t *testing.T) {
			w := serving(t, stream.Everyone, stream.Options{}, websocket.Options{PingInterval: 5 * time.Millisecond, WriteTimeout: 200 * time.Millisecond})
			pings := make(chan struct{}, 1000)
			conn := w.dial(t, "", &ws.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
				pings <- struct{}{}
				return answers
			}})
			ctx := conn.CloseRead(t.Context())
			<-pings
			if answers {
				<-pings
				<-pings
				return
			}
			<-w.left
			<-ctx.Done()
			if n := w.feed.Subscribers(); n != 0 {
				t.Errorf("%d subscribers are left", n)
			}
		})
	}
}

func TestAClientThatHasGoneIsNoticed(t *testing.T) {
	w := serving(t, stream.Everyone, stream.Options{}, websocket.Options{})
	for i, leave := range []func(*ws.Conn) error{(*ws.Conn).CloseNow, func(c *ws.Conn) error { return c.Close(ws.StatusNormalClosure, "") }} {
		conn := w.dial(t, "", nil)
		if err := leave(conn); err != nil {
			t.Error(i, err)
		}
		<-w.left
		if n := w.feed.Subscribers(); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
	}
}

func TestWhoMayNotIsClosedWith4401BeforeAnythingIsSent(t *testing.T) {
	for _, authorize := range []stream.Authorize{nil, func(_ *http.Request, f store.Filter) bool { return len(f.Categories) > 0 }} {
		w := serving(t, authorize, stream.Options{}, websocket.Options{})
		w.add(t, "order-1")
		conn := w.dial(t, "?after=0", nil)
		if _, text, err := conn.Read(t.Context()); ws.CloseStatus(err) != websocket.StatusUnauthorized {
			t.Errorf("got %s, %v", text, err)
		}
		<-w.left
		if n := w.feed.Subscribers(); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
	}
}

func TestWhatCannotBeServedIsRefusedBeforeTheHandshake(t *testing.T) {
	w := serving(t, stream.Everyone, stream.Options{MaxSubscribers: 1}, websocket.Options{})
	response, err := http.Get(w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("no WebSocket: got %d", response.StatusCode)
	}
	for query, want := range map[string]int{"?after=x": http.StatusBadRequest, "?after=7": http.StatusBadRequest, "": http.StatusForbidden} {
		if got := w.refused(t, query, http.Header{"Origin": {"https://evil.example"}}); got != want {
			t.Errorf("%q: got %d, want %d", query, got, want)
		}
	}
	w.dial(t, "", nil)
	if got := w.refused(t, "", nil); got != http.StatusServiceUnavailable {
		t.Errorf("one too many: got %d", got)
	}
}

func TestAllAreClosedWhenTheFeedEnds(t *testing.T) {
	w := serving(t, stream.Everyone, stream.Options{}, websocket.Options{})
	first, second := w.dial(t, "", nil), w.dial(t, "?after=0", nil)
	w.stop()
	closed(t, first, ws.StatusGoingAway)
	closed(t, second, ws.StatusGoingAway)
	<-w.left
	<-w.left
}

func TestAClientThatReceivesNothingIsDisconnected(t *testing.T) {
	w := serving(t, stream.Everyone, stream.Options{}, websocket.Options{WriteTimeout: 50 * time.Millisecond})
	for i := range 16 {
		if _, err := w.store.Append(t.Context(), event.StreamID(fmt.Sprint("big-", i)), store.Any(), event.Pending{Type: "big", Data: []byte(`"` + strings.Repeat("x", 900_000) + `"`)}); err != nil {
			t.Fatal(err)
		}
	}
	w.dial(t, "?after=0", nil) // and never reads
	<-w.left
	if n := w.feed.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	feed := stream.New(s, stream.Options{})
	done := make(chan error)
	go func() { done <- feed.Run(ctx) }() // in an application: engine.AddRunners(feed)
	server := httptest.NewServer(websocket.NewHandler(feed, stream.Everyone, websocket.Options{}))
	defer server.Close()
	conn, _, err := ws.Dial(ctx, server.URL+"?after=0&type=order.placed", nil) //nolint:bodyclose // the connection is closed instead
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.CloseNow() }()
	if _, err := s.Append(ctx, "order-7", store.NoStream(), event.Pending{Type: "order.placed", Data: []byte(`{"total":12}`)}); err != nil {
		fmt.Println(err)
	}
	var frame stream.Frame
	_, text, err := conn.Read(ctx)
	fmt.Println(errors.Join(err, json.Unmarshal(text, &frame)), frame.Position, frame.Stream, string(frame.Data))
	stop()
	fmt.Println(<-done)
	// Output:
	// <nil> 1 order-7 {"total":12}
	// <nil>
}
