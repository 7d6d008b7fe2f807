package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"go.uber.org/fx"

	"lexigram.dev/events/command"
	"lexigram.dev/events/config"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/query"
)

// readTimeout bounds the reading of a request's head.
const readTimeout = 10 * time.Second

// address is where the service listens.
type address string

// newHandler joins the web to the buses.
func newHandler(a *config.App) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /lend", func(w http.ResponseWriter, r *http.Request) { dispatch[Lend](w, r, a.Commands()) })
	mux.HandleFunc("POST /return", func(w http.ResponseWriter, r *http.Request) { dispatch[Return](w, r, a.Commands()) })
	mux.HandleFunc("GET /readers/{reader}/books", func(w http.ResponseWriter, r *http.Request) {
		books, err := query.Dispatch[[]string](r.Context(), a.Queries(), BooksOf{r.PathValue("reader")})
		answer(w, books, err)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		health := a.Health(r.Context())
		if !health.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		answer(w, health, nil)
	})
	return mux
}

func dispatch[C any](w http.ResponseWriter, r *http.Request, bus *command.Bus) {
	var c C
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, "the body is not the command: "+err.Error(), http.StatusBadRequest)
		return
	}
	_, err := command.Dispatch[command.None](r.Context(), bus, c)
	answer(w, "done", err)
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, middleware.ErrInvalid):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, errRefused):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client is gone
	}
}

// listener is where the service listens, known once it does.
type listener struct{ net.Listener }

// listen serves from fx's start to its stop; it stops before the engine does, which was constructed before it.
func listen(lc fx.Lifecycle, program fx.Shutdowner, at address, h http.Handler) *listener {
	l, server := &listener{}, &http.Server{Handler: h, ReadHeaderTimeout: readTimeout}
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) (err error) {
			if l.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", string(at)); err != nil {
				return err
			}
			go func() {
				if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
					_ = program.Shutdown(fx.ExitCode(1)) // it can only be on its way down already
				}
			}()
			return nil
		},
		OnStop: server.Shutdown,
	})
	return l
}
