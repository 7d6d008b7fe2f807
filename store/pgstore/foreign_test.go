package pgstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

const (
	copied = 9          // events go by COPY, whose checks leave out what is certain
	more   = copied + 3 // where the last of them stays alone, the versions that a stale append would take are free
)

func TestWhatOtherProcessesDoToAKnownStreamIsSeen(t *testing.T) {
	for _, variable := range []string{debianServer, oldestServer, newestServer} {
		t.Run(variable, func(t *testing.T) { seesWhatOthersDo(t, testserver.URL(t, variable)) })
	}
}

func seesWhatOthersDo(t *testing.T, dsn string) {
	for name, c := range map[string]struct {
		other func(t *testing.T, other *store.Store) // "s-1" is at version 2 * copied
		want  error
		at    event.Version // found in a conflict, or after success
	}{
		"nothing":               {other: func(*testing.T, *store.Store) {}, at: 3 * copied},
		"an append elsewhere":   {other: func(t *testing.T, other *store.Store) { mustAppend(t, other, "o-1", 1) }, at: 3 * copied},
		"an append":             {other: func(t *testing.T, other *store.Store) { mustAppend(t, other, "s-1", 1) }, want: store.ErrConflict, at: 2*copied + 1},
		"many, then truncation": {other: appendAndTruncate, want: store.ErrConflict, at: 2*copied + more},
		"truncation alone":      {other: func(t *testing.T, other *store.Store) { truncate(t, other, 2*copied) }, at: 3 * copied},
		"deletion": {other: func(t *testing.T, other *store.Store) {
			mustAppend(t, other, "s-1", more)
			if _, err := other.Delete(t.Context(), "s-1", store.Any()); err != nil {
				t.Fatal(err)
			}
		}, want: store.ErrStreamDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			schema := newSchema(t, dsn)
			s := store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{})
			mustAppend(t, s, "s-1", copied)
			mustAppend(t, s, "s-1", copied)
			c.other(t, store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{}))
			res, err := s.Append(t.Context(), "s-1", store.Exactly(2*copied), pending(copied)...)
			var conflict *store.ConflictError
			switch {
			case !errors.Is(err, c.want):
				t.Fatalf("got %+v, %v, want %v", res, err, c.want)
			case errors.As(err, &conflict) && conflict.Actual != c.at:
				t.Errorf("the conflict names version %d, want %d", conflict.Actual, c.at)
			case err == nil && res.Version() != c.at:
				t.Errorf("the stream is at %d, want %d", res.Version(), c.at)
			}
			if errors.Is(c.want, store.ErrStreamDeleted) {
				return
			}
			if res := mustAppend(t, s, "s-1", copied); res.Version() != c.at+copied {
				t.Errorf("one that expects any version ends at %d, want %d", res.Version(), c.at+copied)
			}
		})
	}
}

func appendAndTruncate(t *testing.T, s *store.Store) {
	mustAppend(t, s, "s-1", more)
	truncate(t, s, 2*copied+more) // only the last one stays
}

func truncate(t *testing.T, s *store.Store, before event.Version) {
	t.Helper()
	if _, err := s.Truncate(t.Context(), "s-1", before); err != nil {
		t.Fatal(err)
	}
}

// The streams are hot and known to both processes; each append must find out what the other has done.
func TestTwoProcessesThatRaceForKnownStreamsLoseNothing(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	handles := []*store.Store{
		store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{}),
		store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{}),
	}
	const writers, each, streams = 32, 40, 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	stored := 0
	for w := range writers {
		wg.Go(func() {
			s, stream := handles[w%2], event.StreamID(fmt.Sprintf("s-%d", w%streams/2)) // each stream in both processes
			expected := store.Any()
			for range each {
				res, err := s.Append(t.Context(), stream, expected, pending(1)...)
				var conflict *store.ConflictError
				switch {
				case errors.As(err, &conflict):
					expected = store.Exactly(conflict.Actual)
				case err != nil:
					t.Error(err)
				default:
					expected = store.Exactly(res.Version())
					mu.Lock()
					stored++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if n := checkGapless(t, handles[0]); n != stored {
		t.Errorf("the log has %d events, but %d appends succeeded", n, stored)
	}
	next := map[event.StreamID]event.Version{}
	for e, err := range handles[1].ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		if next[e.Stream]++; e.Version != next[e.Stream] {
			t.Fatalf("position %d: stream %s has version %d, want %d", e.Position, e.Stream, e.Version, next[e.Stream])
		}
	}
}
