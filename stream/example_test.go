package stream_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/stream"
)

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	feed := stream.New(s, stream.Options{})
	done := make(chan error)
	go func() { done <- feed.Run(ctx) }() // in an application: engine.AddRunners(feed)

	mux := http.NewServeMux()
	mux.Handle("/events", feed.Handler(func(r *http.Request, _ store.Filter) bool {
		return r.Header.Get("Authorization") == "Bearer ann"
	}, stream.HandlerOptions{}))
	server := httptest.NewServer(mux)
	defer server.Close()

	if _, err := s.Append(ctx, "order-7", store.NoStream(), event.Pending{Type: "order.placed", Data: []byte(`{"total":12}`)}); err != nil {
		fmt.Println(err)
	}
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events?category=order&after=0", nil)
	request.Header.Set("Authorization", "Bearer ann")
	response, err := server.Client().Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			fmt.Println("position", id)
		} else if strings.HasPrefix(lines.Text(), "data: ") {
			_, data, _ := strings.Cut(lines.Text(), `"data":`)
			fmt.Println(data)
			break
		}
	}
	stop() // ends the feed and its requests
	fmt.Println(<-done)
	// Output:
	// position 0
	// position 1
	// {"total":12}}
	// <nil>
}
