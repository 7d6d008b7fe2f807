package sqlitestore

import (
	"context"
	"errors"
	"math"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func TestLargeEventsComeInSmallPages(t *testing.T) {
	b, s := filledWith(t, 12, 900<<10)
	p := &pager{backend: b, query: query{sql: sqlLogForward}, whole: true, high: math.MaxInt64}
	first := p.next(t.Context())
	if n := len(first.events); n != 5 || !first.more || first.err != nil {
		t.Errorf("the first page has %d events, more %v, error %v; want the 5 that reach %d bytes, and more", n, first.more, first.err, pageBytes)
	}
	next := event.Position(1)
	for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position != next {
			t.Fatalf("position %d, want %d", e.Position, next)
		}
		next++
	}
	if next != 13 {
		t.Errorf("read %d events of 12", next-1)
	}
}

func TestAReadIsOverWhenItsLoopIs(t *testing.T) {
	b, s := filledWith(t, firstPage+3*nextPage, 10)
	for name, stop := range map[string]func(int) bool{
		"at once":             func(n int) bool { return n == 1 },
		"in a later page":     func(n int) bool { return n == firstPage+nextPage/2 },
		"at the end of pages": func(n int) bool { return n == firstPage+nextPage },
	} {
		read := 0
		for _, err := range s.ReadLog(t.Context(), store.LogRead{}) {
			if err != nil {
				t.Fatal(err)
			}
			if read++; stop(read) {
				break
			}
		}
		if free := len(b.readers); free != cap(b.readers) {
			t.Errorf("%s: %d of %d connections are free after the loop", name, free, cap(b.readers))
		}
	}
}

func TestAReadWhoseContextEndsTells(t *testing.T) {
	_, s := filledWith(t, firstPage+3*nextPage, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read := 0
	for _, err := range s.ReadLog(ctx, store.LogRead{}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the context's error", err)
			}
			return
		}
		if read++; read == firstPage {
			cancel()
		}
	}
	t.Errorf("the read went on to its end, %d events", read)
}

// The log is read in parts by several goroutines: the events must come in order, also where parts of it are empty.
func TestALogWithGapsComesInOrder(t *testing.T) {
	b, s := filledWith(t, 5*nextPage, 10)
	for _, stream := range [...]event.StreamID{"gap-1", "fill-2"} {
		events := make([]event.Pending, 3*nextPage)
		for i := range events {
			events[i] = event.Pending{Type: "filled", Data: []byte("{}")}
		}
		if _, err := s.Append(t.Context(), stream, store.NoStream(), events...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Truncate(t.Context(), "gap-1", 3*nextPage); err != nil {
		t.Fatal(err)
	}
	for _, from := range [...]event.Position{0, 7, 5*nextPage + 10, 8 * nextPage} {
		want := max(from, 1)
		for e, err := range b.ReadLog(t.Context(), store.LogRead{From: from}) {
			if err != nil {
				t.Fatal(err)
			}
			if want > 5*nextPage && want < 8*nextPage {
				want = 8 * nextPage // the only one that is left of gap-1
			}
			if e.Position != want {
				t.Fatalf("read from %d: position %d, want %d", from, e.Position, want)
			}
			want++
		}
		if want != 11*nextPage+1 {
			t.Errorf("read from %d: ended before position %d, want %d", from, want, 11*nextPage+1)
		}
	}
}

// filledWith gives a store with n events of size bytes each.
func filledWith(t *testing.T, n, size int) (*Backend, *store.Store) {
	t.Helper()
	b := openTest(t, t.TempDir()+"/events.db", Options{})
	s := store.New(b, store.Options{Limits: store.Limits{MaxCommitEvents: 5 * nextPage}})
	events := make([]event.Pending, n)
	for i := range events {
		events[i] = event.Pending{Type: "filled", Data: make([]byte, size)}
	}
	if _, err := s.Append(t.Context(), "fill-1", store.NoStream(), events...); err != nil {
		t.Fatal(err)
	}
	return b, s
}
