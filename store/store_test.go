package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type recorder struct {
	appends []observe.Append
	reads   []observe.Read
}

func (r *recorder) OnAppend(_ context.Context, a observe.Append) { r.appends = append(r.appends, a) }
func (r *recorder) OnRead(_ context.Context, a observe.Read)     { r.reads = append(r.reads, a) }

func TestHooksSeeAppendsAndReadsWithTheirOutcome(t *testing.T) {
	seen := &recorder{}
	hooks, err := observe.NewHooks(seen)
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(memstore.New(memstore.Options{}), store.Options{Hooks: hooks})
	e := event.Pending{ID: event.NewID(), Type: "x"}
	for range 2 { // the second is a duplicate
		if _, err := s.Append(t.Context(), "a-1", store.NoStream(), e); err != nil {
			t.Fatal(err)
		}
	}
	_, conflict := s.Append(t.Context(), "a-1", store.NoStream(), event.Pending{Type: "x"})
	for range s.ReadLog(t.Context(), store.LogRead{}) {
		break
	}
	if len(seen.appends) != 3 || seen.appends[0].Duplicate || !seen.appends[1].Duplicate || !errors.Is(seen.appends[2].Err, store.ErrConflict) || conflict == nil {
		t.Errorf("appends were seen as %+v", seen.appends)
	}
	if a := seen.appends[0]; a.Stream != "a-1" || a.Streams != 1 || a.Events != 1 || a.Err != nil {
		t.Errorf("the first append was seen as %+v", a)
	}
	if len(seen.reads) != 1 || seen.reads[0].Events != 1 {
		t.Errorf("reads were seen as %+v", seen.reads)
	}
}

func TestIDsAndTimesComeFromTheOptions(t *testing.T) {
	id, now := event.ID{1}, time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	s := store.New(memstore.New(memstore.Options{}), store.Options{Now: func() time.Time { return now }, NewID: func() event.ID { return id }})
	if _, err := s.Append(t.Context(), "a-1", store.NoStream(), event.Pending{Type: "x"}); err != nil {
		t.Fatal(err)
	}
	for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil || e.ID != id || e.OccurredAt != now.UTC().Truncate(time.Microsecond) {
			t.Errorf("got id %s, occurred at %v (%v)", e.ID, e.OccurredAt, err)
		}
	}
}

func TestAnUnknownBackendListsTheLinkedOnes(t *testing.T) {
	drivers := []store.Driver{memstore.Driver()}
	for _, url := range []string{"oracle://secret:password@host/db", "memory", ":x", ""} {
		_, err := store.OpenURL(t.Context(), url, drivers, store.OpenOptions{})
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "memory (memory:)") || strings.Contains(err.Error(), "password") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := store.OpenURL(t.Context(), "memory:junk", drivers, store.OpenOptions{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a memory store with a name: %v", err)
	}
	b, err := store.OpenURL(t.Context(), "memory:", drivers, store.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := store.New(b, store.Options{}).Describe(t.Context())
	if err != nil || !slices.Contains(d.Capabilities, "wake-up") || slices.Contains(d.Capabilities, "transactions") {
		t.Errorf("described as %+v, %v", d, err)
	}
}

func TestAMissingCapabilityIsAnError(t *testing.T) {
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	err := s.Transact(t.Context(), func(context.Context) error { t.Error("the function was called"); return nil })
	if !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsNameTheOperationAndTheThing(t *testing.T) {
	s := store.New(memstore.New(memstore.Options{}), store.Options{Limits: store.Limits{MaxTags: 1}})
	for _, c := range []struct {
		err  func() error
		want string
	}{
		{
			func() error {
				_, err := s.Append(t.Context(), "order-7", store.Exactly(3), event.Pending{Type: "x"})
				return err
			},
			"append stream order-7: conflict: expected version 3, but stream order-7 does not exist",
		},
		{
			func() error {
				_, err := s.Append(t.Context(), "order-7", store.Any(), event.Pending{Type: "x", Tags: []event.Tag{"a", "b"}})
				return err
			},
			"append stream order-7: event 1 (x): number of tags: 2 is over the limit of 1",
		},
		{func() error { _, err := s.StreamInfo(t.Context(), "order-7"); return err }, "describe stream order-7: not found"},
		{func() error { _, err := s.Get(t.Context(), "b", "k"); return err }, "get record b/k: not found"},
	} {
		if err := c.err(); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// copier is a backend that looks at what it is given, and keeps it although it says that it does not.
type copier struct {
	store.Backend
	got []store.Commit
}

func (c *copier) CopiesCommits() {}

func (c *copier) Append(ctx context.Context, commit store.Commit) (store.Result, error) {
	c.got = append(c.got, commit)
	return c.Backend.Append(ctx, commit)
}

func TestTheMemoryOfACommitHoldsNothingOfTheCallerAfterwards(t *testing.T) {
	backend := &copier{Backend: memstore.New(memstore.Options{})}
	s := store.New(backend, store.Options{})
	for i, events := range [][]event.Pending{
		{{Type: "order.placed", Data: []byte("{}")}},
		{{Type: "order.placed", Data: []byte("{}")}, {Type: "order.paid", Data: []byte("{}")}},
		{{Type: "order.placed"}},
	} {
		if _, err := s.Append(t.Context(), "order-1", store.Any(), events...); err != nil {
			t.Fatal(err)
		}
		for _, e := range backend.got[i].Appends[:1] {
			if e.Stream != "" || e.Events != nil {
				t.Errorf("commit %d: the memory still holds %+v", i, e)
			}
		}
		if !events[0].ID.IsZero() || events[0].ContentType != "" || !events[0].OccurredAt.IsZero() {
			t.Errorf("commit %d: the input was changed: %+v", i, events[0])
		}
	}
	var types []string
	for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	if want := []string{"order.placed", "order.placed", "order.paid", "order.placed"}; !slices.Equal(types, want) {
		t.Errorf("got %v, want %v", types, want)
	}
}

func TestALargeCommitAndAFailedOneUseTheirMemoryWell(t *testing.T) {
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	if _, err := s.Append(t.Context(), "order-1", store.Any(), event.Pending{Type: "order.placed"}, event.Pending{Type: "$own"}); !errors.Is(err, store.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	many := make([]event.Pending, 100)
	for i := range many {
		many[i].Type = "order.placed"
	}
	res, err := s.Append(t.Context(), "order-1", store.NoStream(), many...)
	if err != nil || res.First != 1 || res.Last != 100 {
		t.Errorf("got %+v, %v", res, err)
	}
}
