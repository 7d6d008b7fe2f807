package stream

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Authorize says whether a request may see the events that a filter selects. It is asked before anything is sent.
type Authorize func(r *http.Request, filter store.Filter) bool

// Everyone lets everyone see everything.
func Everyone(*http.Request, store.Filter) bool { return true }

// Parse reads what a request asks for: the query parameters category, type and stream, each any number of times, and the
// position to resume after, from the header Last-Event-ID or else the parameter "after"; Live without either. The error is
// store.ErrInvalid.
func Parse(r *http.Request) (filter store.Filter, after event.Position, err error) {
	q := r.URL.Query()
	for name := range q {
		switch name {
		case "category", "type", "stream", "after":
		default:
			return filter, 0, fmt.Errorf("parameter %q is none of category, type, stream, after: %w", name, store.ErrInvalid)
		}
	}
	filter.Categories = q["category"]
	for _, name := range q["stream"] {
		filter.Streams = append(filter.Streams, event.StreamID(name))
	}
	if types := q["type"]; len(types) > 0 {
		filter.Query = store.Query{{Types: types}}
	}
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = q.Get("after")
	}
	if text == "" {
		return filter, Live, filter.Validate()
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return filter, 0, fmt.Errorf("position %q: must be a number from 0: %w", text, store.ErrInvalid)
	}
	return filter, event.Position(n), filter.Validate()
}

// Refuse answers a request that Parse or Subscribe gave an error for.
func Refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, store.ErrInvalid):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, ErrTooMany), errors.Is(err, ErrClosed):
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default: // the store's errors are not for strangers
		http.Error(w, "the log cannot be read", http.StatusServiceUnavailable)
	}
}
