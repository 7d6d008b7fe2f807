package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"lexigram.dev/events/eventbus"
)

// liveFeed hands events on to the pages that are open. A page that does not keep up misses some: it reads the list anew
// with the next one.
type liveFeed struct {
	mu    sync.Mutex
	pages map[chan []byte]bool
}

func newLiveFeed() *liveFeed { return &liveFeed{pages: map[chan []byte]bool{}} }

// publish is a handler of all events.
func (f *liveFeed) publish(_ context.Context, m eventbus.Message) error {
	line, err := json.Marshal(map[string]any{"type": m.Event.Type, "order": m.Event.Stream.Key(), "position": m.Event.Position})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for page := range f.pages {
		select {
		case page <- line:
		default:
		}
	}
	return nil
}

func (f *liveFeed) join() chan []byte {
	page := make(chan []byte, 16)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages[page] = true
	return page
}

func (f *liveFeed) leave(page chan []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pages, page)
}

// ServeHTTP streams events to a page (server-sent events) until it leaves or the server stops.
func (f *liveFeed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := f.join()
	defer f.leave(page)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	fmt.Fprint(w, ": welcome\n\n")
	for control.Flush() == nil {
		select {
		case line := <-page:
			fmt.Fprintf(w, "data: %s\n\n", line)
		case <-r.Context().Done():
			return
		}
	}
}
