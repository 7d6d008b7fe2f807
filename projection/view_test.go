package projection_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

type Named struct{ Names []string }

// Values that stand close to each other, in the order of their bytes.
var tricky = []string{
	"", "\x00", "\t", "a", "a\x01", "a\x1f", "a ", "a  ", "a !", "a!", "a! ", "a!!", `a"`, "a~", "a~!", "a\x7f", "a\u0080", "a\u009f", "a\u00a0", "ab", "a\u00e9", "é", "世界",
}

func TestAnIndexKeepsTheOrderOfItsValues(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		must(t, schema.Register[Named](s.registry, "order.named", schema.Options{}))
		p := projection.New(s.Store, s.registry, "names", quick(t))
		docs := projection.NewDocuments(p, "names", projection.DocumentOptions[[]string]{
			Indexes: map[string]func([]string) []string{"name": func(names []string) []string { return names }},
		})
		projection.PerEntity(docs, func(names *[]string, e Named, _ event.Recorded) error { *names = e.Names; return nil })
		start(t, p)
		for i, name := range tricky {
			s.add(t, order(i), Named{[]string{name}})
		}
		s.add(t, "order-100", Named{[]string{"gone", "x"}})
		must(t, p.WaitFor(t.Context(), s.add(t, "order-100", Named{nil})))

		sorted := slices.Clone(tricky)
		slices.Sort(sorted)
		find := func(m projection.Match, page projection.Page) (found []string, cursor string) {
			for d, err := range docs.Query(t.Context(), "name", m, page) {
				must(t, err)
				found, cursor = append(found, d.Value[0]), d.Cursor
			}
			return found, cursor
		}
		if got, _ := find(projection.StartsWith(""), projection.Page{}); !slices.Equal(got, sorted) {
			t.Errorf("got  %q\nwant %q", got, sorted)
		}
		for _, value := range tricky {
			if got, _ := find(projection.Equal(value), projection.Page{}); !slices.Equal(got, []string{value}) {
				t.Errorf("%q finds %q", value, got)
			}
			var want []string
			for _, v := range sorted {
				if strings.HasPrefix(v, value) {
					want = append(want, v)
				}
			}
			if got, _ := find(projection.StartsWith(value), projection.Page{}); !slices.Equal(got, want) {
				t.Errorf("those that begin with %q are %q, want %q", value, got, want)
			}
		}
		for _, backwards := range []bool{false, true} {
			var got []string
			for cursor := ""; ; {
				page, next := find(projection.StartsWith(""), projection.Page{After: cursor, Limit: 5, Backwards: backwards})
				if got = append(got, page...); len(page) == 0 {
					break
				}
				cursor = next
			}
			if backwards {
				slices.Reverse(got)
			}
			if !slices.Equal(got, sorted) {
				t.Errorf("by pages, backwards %v: %q", backwards, got)
			}
		}
		for _, err := range docs.Query(t.Context(), "nome", projection.Equal("x"), projection.Page{}) {
			wantError(t, err, store.ErrInvalid, "query names by nome", "no such index")
		}
	})
}

func TestListsArePaged(t *testing.T) {
	s := memoryShop(t)
	p, docs := s.totals("totals", quick(t))
	start(t, p)
	must(t, p.WaitFor(t.Context(), s.fill(t, 10, 10)))
	var keys []string
	for cursor, more := "", true; more; {
		more = false
		for d, err := range docs.List(t.Context(), projection.Page{After: cursor, Limit: 3}) {
			must(t, err)
			keys, cursor, more = append(keys, d.Key), d.Cursor, true
		}
	}
	if strings.Join(keys, "") != "0123456789" {
		t.Errorf("got %v", keys)
	}
}

func TestAViewOfADroppedGenerationSaysSo(t *testing.T) {
	s := memoryShop(t)
	p, docs := s.totals("totals", quick(t))
	start(t, p)
	must(t, p.WaitFor(t.Context(), s.fill(t, 10, 3)))
	view, err := docs.Live(t.Context())
	must(t, err)
	must(t, s.control.Reset(t.Context(), "totals"))
	eventually(t, "the removal", func() bool { return s.records(t, "projection/totals/1/totals") == 0 })
	_, err = view.Get(t.Context(), "0")
	wantError(t, err, projection.ErrGone)
	var last error
	for _, err := range view.List(t.Context(), projection.Page{}) {
		last = err
	}
	if !errors.Is(last, projection.ErrGone) {
		t.Errorf("the list of a dropped generation ends with %v", last)
	}
	must(t, p.WaitFor(t.Context(), 10))
	if d, err := docs.Get(t.Context(), "0"); err != nil || d.Events != 4 {
		t.Errorf("the live document is %+v, %v", d, err)
	}
}
