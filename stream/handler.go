package stream

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"lexigram.dev/events/event"
)

// HandlerOptions are the settings of a handler; the zero value works.
type HandlerOptions struct {
	// Heartbeat is how often a comment is sent while no events are, so that proxies keep the connection open and a client
	// that has gone is noticed. Defaults to 15 s.
	Heartbeat time.Duration

	// WriteTimeout is how long a client may take to receive an event; then it is disconnected. It replaces that of the
	// server. Defaults to 10 s.
	WriteTimeout time.Duration
}

// Handler serves the feed as Server-Sent Events: each is a Frame, and its id is the position, so browsers resume by
// themselves. Parse says what requests may ask for. Those that authorize refuses get 403; nil refuses all. Requests end
// when the feed does, so stop it before the server shuts down.
func (f *Feed) Handler(authorize Authorize, o HandlerOptions) http.Handler {
	o.Heartbeat = positive(o.Heartbeat, 15*time.Second)
	o.WriteTimeout = positive(o.WriteTimeout, 10*time.Second)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "GET it", http.StatusMethodNotAllowed)
			return
		}
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "WebSocket is not served here", http.StatusBadRequest)
			return
		}
		filter, after, err := Parse(r)
		if err != nil {
			Refuse(w, err)
			return
		}
		if authorize == nil || !authorize(r, filter) {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		s, err := f.Subscribe(r.Context(), filter, after)
		if err != nil {
			Refuse(w, err)
			return
		}
		defer s.Close()
		_ = serve(w, r, s, o) // the client has gone, or comes again with the id that it saw last
	})
}

func serve(w http.ResponseWriter, r *http.Request, s *Subscription, o HandlerOptions) error {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	write := func(text []byte) error {
		if err := control.SetWriteDeadline(time.Now().Add(o.WriteTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		_, err := w.Write(text)
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx
	// An id without data: one who loses the connection before the first event resumes from here.
	if err := errors.Join(write(fmt.Appendf(nil, "id: %d\n\n", s.Position())), control.Flush()); err != nil {
		return err
	}
	return s.Follow(r.Context(), o.Heartbeat, func(events []event.Recorded) error {
		for _, e := range events {
			line, err := Encode(e)
			if err == nil {
				err = write(fmt.Appendf(nil, "id: %d\ndata: %s\n\n", e.Position, line))
			}
			if err != nil {
				return err
			}
		}
		return control.Flush()
	}, func() error { return errors.Join(write([]byte(":\n\n")), control.Flush()) })
}
