package config

import (
	"net/http"

	"lexigram.dev/events/stream"
	"lexigram.dev/events/stream/websocket"
)

// Stream gives the live feed of the log. It runs with the App.
func (a *App) Stream() *stream.Feed { return a.feed }

// StreamHandler serves the live feed as Server-Sent Events, and over WebSocket to those who ask for it, where
// streaming.enable_websocket is true. Requests that authorize refuses see nothing; nil refuses all.
func (a *App) StreamHandler(authorize stream.Authorize) http.Handler {
	events := a.feed.Handler(authorize, stream.HandlerOptions{})
	if !a.config.Streaming.EnableWebSocket {
		return events
	}
	sockets := websocket.NewHandler(a.feed, authorize, websocket.Options{PingInterval: a.config.Streaming.WebSocketPingInterval})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.Wanted(r) {
			sockets.ServeHTTP(w, r)
		} else {
			events.ServeHTTP(w, r)
		}
	})
}

func (a *App) streamOptions() stream.Options {
	s := a.config.Streaming
	return stream.Options{
		BufferSize: s.BufferSize, BatchSize: s.BatchSize, PollInterval: s.PollInterval, MaxSubscribers: s.MaxSubscribers,
		OnError: a.onError("stream"),
	}
}
