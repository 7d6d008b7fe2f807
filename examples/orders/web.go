package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
)

//go:embed page.html
var page []byte

const (
	maxBody  = 64 << 10
	maxList  = 500
	waitRead = 5 * time.Second // for a read model to reach the position that a client has seen
)

// routes are the service's addresses.
func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // a page that has left
	})
	mux.Handle("GET /live", s.live)
	mux.HandleFunc("POST /orders", handle(http.StatusCreated, s.place))
	mux.HandleFunc("POST /orders/{id}/pay", handle(http.StatusOK, func(r *http.Request) (any, error) {
		var c PayOrder
		return dispatch(s, r, &c, &c.ID)
	}))
	mux.HandleFunc("POST /orders/{id}/ship", handle(http.StatusOK, func(r *http.Request) (any, error) {
		var c ShipOrder
		return dispatch(s, r, &c, &c.ID)
	}))
	mux.HandleFunc("POST /orders/{id}/cancel", handle(http.StatusOK, func(r *http.Request) (any, error) {
		var c CancelOrder
		return dispatch(s, r, &c, &c.ID)
	}))
	mux.HandleFunc("GET /orders", handle(http.StatusOK, s.list))
	mux.HandleFunc("GET /orders/{id}", handle(http.StatusOK, s.show))
	mux.HandleFunc("GET /revenue", handle(http.StatusOK, s.revenue))
	mux.HandleFunc("GET /health", s.health)
	return mux
}

// place takes the order's id from the client, so that it can ask again after a lost answer; without one it makes it.
func (s *shop) place(r *http.Request) (any, error) {
	var c PlaceOrder
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	if c.ID == "" {
		c.ID = event.NewID().String()
	}
	return command.Dispatch[Done](r.Context(), s.engine.Commands(), c)
}

// dispatch sends a command on the order that the path names.
func dispatch[C any](s *shop, r *http.Request, c *C, id *string) (Done, error) {
	if err := decode(r, c); err != nil {
		return Done{}, err
	}
	*id = r.PathValue("id")
	return command.Dispatch[Done](r.Context(), s.engine.Commands(), *c)
}

// listed is an order in a list.
type listed struct {
	ID string `json:"id"`
	Row
}

// list gives orders, the newest first; ?customer= or ?state= those of one, ?limit= how many, ?after= as show.
func (s *shop) list(r *http.Request) (any, error) {
	limit := 50
	if text := r.FormValue("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxList {
			return nil, badRequest("limit %q: must be 1 to %d", text, maxList)
		}
	}
	if err := caughtUp(r, s.models.list); err != nil {
		return nil, err
	}
	index, match := "placed", projection.StartsWith("")
	if customer := r.FormValue("customer"); customer != "" {
		index, match = "customer", projection.Equal(customer)
	} else if state := r.FormValue("state"); state != "" {
		index, match = "state", projection.Equal(state)
	}
	orders := []listed{}
	for doc, err := range s.models.orders.Query(r.Context(), index, match, projection.Page{Limit: limit, Backwards: true}) {
		if err != nil {
			return nil, err
		}
		orders = append(orders, listed{doc.Key, doc.Value})
	}
	return orders, nil
}

// show gives one order; with ?after=POSITION as it is at that position or later, so that a client can read what it has
// just written.
func (s *shop) show(r *http.Request) (any, error) {
	if err := caughtUp(r, s.models.list); err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	row, err := s.models.orders.Get(r.Context(), id)
	return listed{id, row}, err
}

// dated is a day with its date.
type dated struct {
	Date string `json:"date"`
	Day
}

// revenue gives the days, the newest first.
func (s *shop) revenue(r *http.Request) (any, error) {
	if err := caughtUp(r, s.models.daily); err != nil {
		return nil, err
	}
	days := []dated{}
	for doc, err := range s.models.days.List(r.Context(), projection.Page{Limit: maxList, Backwards: true}) {
		if err != nil {
			return nil, err
		}
		days = append(days, dated{doc.Key, doc.Value})
	}
	return days, nil
}

// caughtUp waits until a read model holds what the request has asked for by ?after=.
func caughtUp(r *http.Request, p *projection.Projection) error {
	text := r.FormValue("after")
	if text == "" {
		return nil
	}
	position, err := strconv.ParseInt(text, 10, 64)
	if err != nil || position < 0 {
		return badRequest("after %q: must be a position", text)
	}
	ctx, cancel := context.WithTimeout(r.Context(), waitRead)
	defer cancel()
	return p.WaitFor(ctx, event.Position(position))
}

func (s *shop) health(w http.ResponseWriter, r *http.Request) {
	h := s.engine.Health(r.Context())
	status := http.StatusOK
	if !h.OK {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, h)
}

func decode(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequest("the body must be a JSON object of the fields that the README names: %w", err)
	}
	return nil
}

// requestError is the client's fault.
type requestError struct{ err error }

// Error implements error.
func (e *requestError) Error() string { return e.err.Error() }

func badRequest(format string, args ...any) error { return &requestError{fmt.Errorf(format, args...)} }

// handle makes an HTTP handler of a function that gives a value.
func handle(status int, do func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := do(r)
		if err != nil {
			answer(w, statusOf(err), map[string]string{"error": err.Error()})
			return
		}
		answer(w, status, value)
	}
}

func statusOf(err error) int {
	var (
		refusal *Refusal
		request *requestError
	)
	switch {
	case errors.As(err, &request), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrTooLarge):
		return http.StatusBadRequest
	case errors.As(err, &refusal), errors.Is(err, store.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that has left
}
