package config

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	ws "github.com/coder/websocket"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/stream"
)

// fed gives a running app, and a subscription to its stream that has caught up.
func fed(t *testing.T, text string, change ...func(*Options)) (*world, *stream.Subscription) {
	t.Helper()
	w := opened(t, text, change...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	sub, err := w.Stream().Subscribe(ctx, store.Filter{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.log(t, 1)
	if events, err := sub.Next(ctx); err != nil || len(events) != 1 {
		t.Fatalf("got %v, %v", events, err)
	}
	return w, sub
}

// log appends n events at once.
func (w *world) log(t *testing.T, n int) {
	t.Helper()
	if _, err := w.Store().Append(t.Context(), "order-1", store.Any(), slices.Repeat([]event.Pending{{Type: "order.placed"}}, n)...); err != nil {
		t.Fatal(err)
	}
}

func streamEffects() map[string]func(t *testing.T) {
	return map[string]func(t *testing.T){
		"streaming.buffer_size": func(t *testing.T) {
			for events, want := range map[int]error{200: nil, 201: stream.ErrSlow} {
				synctest.Test(t, func(t *testing.T) {
					w, sub := fed(t, "{streaming: {buffer_size: 200}}")
					w.log(t, events)
					<-time.After(time.Minute)
					if _, err := sub.Next(t.Context()); !errors.Is(err, want) {
						t.Errorf("%d events: got %v, want %v", events, err, want)
					}
				})
			}
		},
		"streaming.batch_size": func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sub := fed(t, "{streaming: {batch_size: 7}}")
				w.log(t, 20)
				synctest.Wait()
				if events, err := sub.Next(t.Context()); err != nil || len(events) != 7 {
					t.Errorf("got %d, %v", len(events), err)
				}
			})
		},
		"streaming.poll_interval_ms": func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sub := fed(t, "{event_store_backend: memory, streaming: {poll_interval_ms: 700}}", func(o *Options) {
					o.Stores = []store.Driver{{Name: "deaf", Schemes: []string{"memory"}, Open: func(context.Context, string, store.OpenOptions) (store.Backend, error) {
						return struct{ store.Backend }{memstore.New(memstore.Options{})}, nil // without wake-ups
					}}}
				})
				synctest.Wait()
				start := time.Now()
				w.log(t, 1)
				if _, err := sub.Next(t.Context()); err != nil || time.Since(start) > 700*time.Millisecond || time.Since(start) < 500*time.Millisecond {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		},
		"streaming.max_subscribers": func(t *testing.T) {
			w := opened(t, "{streaming: {max_subscribers: 3}}")
			for i := range 4 {
				if _, err := w.Stream().Subscribe(t.Context(), store.Filter{}, 0); errors.Is(err, stream.ErrTooMany) != (i == 3) {
					t.Errorf("%d: got %v", i, err)
				}
			}
		},
		"streaming.enable_websocket": func(t *testing.T) {
			for enabled, want := range map[string]int{"true": http.StatusSwitchingProtocols, "false": http.StatusBadRequest} {
				url := served(t, opened(t, "{streaming: {enable_websocket: "+enabled+"}}"))
				conn, response, err := ws.Dial(t.Context(), url, nil) //nolint:bodyclose // the connection is closed instead
				if response == nil || response.StatusCode != want {
					t.Fatalf("%s: got %v, %v", enabled, response, err)
				}
				if conn != nil {
					_ = conn.CloseNow()
				}
				events, err := http.Get(url + "?after=0")
				if err != nil {
					t.Fatal(err)
				}
				defer events.Body.Close()
				if got := events.Header.Get("Content-Type"); got != "text/event-stream" {
					t.Errorf("got %s", got)
				}
			}
		},
		"streaming.websocket_ping_interval": func(t *testing.T) {
			w := opened(t, "{streaming: {websocket_ping_interval: 5s}}") // the least; so this takes as long
			pinged := make(chan struct{}, 1)
			start := time.Now()
			conn, _, err := ws.Dial(t.Context(), served(t, w), &ws.DialOptions{OnPingReceived: func(context.Context, []byte) bool { //nolint:bodyclose // the connection is closed instead
				pinged <- struct{}{}
				return false
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.CloseNow() }()
			conn.CloseRead(t.Context())
			<-pinged
			if took := time.Since(start); took < 5*time.Second || took > 20*time.Second {
				t.Errorf("pinged after %v", took)
			}
		},
	}
}

func served(t *testing.T, w *world) (url string) {
	server := httptest.NewServer(w.StreamHandler(stream.Everyone))
	t.Cleanup(server.Close)
	return server.URL
}
