package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/stream"
)

func memory(t *testing.T) *store.Store {
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// running gives a feed that runs until the test ends.
func running(t *testing.T, s *store.Store, o stream.Options) *stream.Feed {
	t.Helper()
	feed := stream.New(s, o)
	start(t, feed)
	return feed
}

// start runs a feed; stop ends it and waits.
func start(t *testing.T, feed *stream.Feed) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// add appends n events of a type to a stream.
func add(t *testing.T, s *store.Store, name event.StreamID, eventType string, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.Append(context.Background(), name, store.Any(), event.Pending{Type: eventType, Data: fmt.Appendf(nil, `{"n":%d}`, i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func subscribe(t *testing.T, feed *stream.Feed, filter store.Filter, after event.Position) *stream.Subscription {
	t.Helper()
	s, err := feed.Subscribe(t.Context(), filter, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// positions takes events until n are there.
func positions(ctx context.Context, s *stream.Subscription, n int) ([]event.Position, error) {
	var got []event.Position
	for e, err := range s.Events(ctx) {
		if err != nil {
			return got, err
		}
		if got = append(got, e.Position); len(got) == n {
			break
		}
	}
	return got, nil
}

func wants(t *testing.T, s *stream.Subscription, from, to event.Position) {
	t.Helper()
	got, err := positions(t.Context(), s, int(to-from+1))
	if err != nil {
		t.Error(err)
	}
	for i, p := range got {
		if p != from+event.Position(i) {
			t.Fatalf("got %v, want %d to %d", got, from, to)
		}
	}
}

func isError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
