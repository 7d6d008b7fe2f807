package everystore_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/sqlitestore"
)

// names are what fuzzed logs and filters are made of: two that are made up, and some that a backend may confuse.
func names(a, b string) []string { return []string{a, b, "a", "A", "a_", "a%", "ab", "ä"} }

// picker reads choices from what is made up; it chooses the first when that ends.
type picker struct{ choices []byte }

func (p *picker) upTo(n int) int {
	if len(p.choices) == 0 {
		return 0
	}
	c := p.choices[0]
	p.choices = p.choices[1:]
	return int(c) % n
}

func pick[T ~string](p *picker, from []string, most int) []T {
	var picked []T
	for range p.upTo(most + 1) {
		if one := T(from[p.upTo(len(from))]); !slices.Contains(picked, one) {
			picked = append(picked, one)
		}
	}
	return picked
}

// FuzzFilter: of a small log, a backend with an index of its own yields what Filter.Matches says, in either direction, and
// decides conditions by it; what one backend refuses the other does, too.
func FuzzFilter(f *testing.F) {
	f.Add("order", "placed", []byte{4, 0, 1, 2, 0, 3, 1, 1, 2, 1, 0, 2, 5, 6, 1, 1, 2})
	f.Add("a b", "%", []byte("0123456789abcdefghijklmnop"))
	f.Add(`"`, `'; --`, []byte{9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add("customer:7", "\x00", []byte{1, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Add("[*?]", `\`, []byte{5, 1, 0, 1, 0, 2, 1, 0, 2, 1, 1, 1, 0, 0, 1, 1})
	backend, err := sqlitestore.Open(f.Context(), filepath.Join(f.TempDir(), "events.db"), sqlitestore.Options{AutoMigrate: true, Synchronous: sqlitestore.Normal})
	if err != nil {
		f.Fatal(err)
	}
	stores := []*store.Store{store.New(memstore.New(memstore.Options{}), store.Options{}), store.New(backend, store.Options{})}
	f.Cleanup(func() {
		for _, s := range stores {
			if err := s.Close(); err != nil {
				f.Error(err)
			}
		}
	})
	f.Fuzz(func(t *testing.T, a, b string, choices []byte) {
		p, from := &picker{choices}, names(a, b)
		var log []event.Recorded // what should be there
		head, err := stores[0].Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + p.upTo(6) {
			r := event.Recorded{
				Stream: event.StreamID(from[p.upTo(len(from))] + "-" + from[p.upTo(len(from))]), Type: from[p.upTo(len(from))], Tags: pick[event.Tag](p, from, 3),
			}
			e := event.Pending{ID: event.NewID(), Type: r.Type, Tags: r.Tags}
			failed := agree(t, stores, func(s *store.Store) error {
				res, err := s.Append(t.Context(), r.Stream, store.Any(), e)
				r.Position = res.Last // 0 where it failed
				return err
			})
			if !failed {
				log = append(log, r)
			}
		}
		filter := store.Filter{Categories: pick[string](p, from, 2)}
		for range p.upTo(3) {
			filter.Streams = append(filter.Streams, event.StreamID(from[p.upTo(len(from))]+"-"+from[p.upTo(len(from))]))
		}
		for range p.upTo(4) {
			filter.Query = append(filter.Query, store.QueryItem{Types: pick[string](p, from, 2), Tags: pick[event.Tag](p, from, 3)})
		}
		var want, chosen []event.Position
		for _, r := range log {
			if filter.Matches(r.Stream, r.Type, r.Tags) {
				want = append(want, r.Position)
			}
			if filter.Query.Matches(r.Type, r.Tags) {
				chosen = append(chosen, r.Position)
			}
		}
		for _, backwards := range []bool{false, true} {
			read := store.LogRead{From: head + 1, Filter: filter, Backwards: backwards}
			if backwards {
				read.From, read.To = 0, head+1
				slices.Reverse(want)
			}
			agree(t, stores, func(s *store.Store) error {
				var got []event.Position
				for r, err := range s.ReadLog(t.Context(), read) {
					if err != nil {
						return err
					}
					got = append(got, r.Position)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%T, backwards %v, %+v: got %v, want %v", s.Backend(), backwards, filter, got, want)
				}
				return nil
			})
		}
		last := event.Pending{ID: event.NewID(), Type: "last"}
		agree(t, stores, func(s *store.Store) error {
			_, err := s.AppendIf(t.Context(), "last-1", store.Condition{Query: filter.Query, After: head}, last)
			if !errors.Is(err, store.ErrInvalid) && errors.Is(err, store.ErrConflict) != (len(chosen) > 0) {
				t.Errorf("%T: a condition on %+v: got %v, and %v match", s.Backend(), filter.Query, err, chosen)
			}
			return err
		})
	})
}

// agree does the same with each store. All must do it, or refuse it as wrong or as a conflict.
func agree(t *testing.T, stores []*store.Store, do func(*store.Store) error) (failed bool) {
	t.Helper()
	var kinds []string
	for _, s := range stores {
		kind := "done"
		switch err := do(s); {
		case errors.Is(err, store.ErrInvalid):
			kind = "invalid"
		case errors.Is(err, store.ErrConflict):
			kind = "conflict"
		case errors.Is(err, store.ErrTooLarge):
			kind = "too large"
		case err != nil:
			t.Fatalf("%T: %v", s.Backend(), err)
		}
		kinds = append(kinds, kind)
	}
	if kinds[0] != kinds[1] {
		t.Fatalf("the stores do not agree: %v", kinds)
	}
	return kinds[0] != "done"
}
