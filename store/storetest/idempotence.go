package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func idempotenceClauses() []clause {
	return []clause{
		{rule: "answers a repeated append with its first result whatever it expects", prove: repeatsSingles},
		{rule: "answers a repeated commit with a condition although its own events break it", prove: repeatsConditions},
		{rule: "answers a repeated commit to several streams with its first result", prove: repeatsCommits},
		{rule: "takes a retry with other metadata or time for the same append", prove: repeatsInAnotherContext},
		{rule: "refuses an id that is stored with other content or elsewhere", prove: refusesReusedIDs},
		{rule: "stores one of many racing repetitions of an append", prove: racesRepetitions},
	}
}

// repeated checks that a result is that of a repetition of first.
func repeated(t *testing.T, what string, got, first store.Result, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	first.Duplicate = true
	if got.First != first.First || got.Last != first.Last || !got.Duplicate || !slices.Equal(got.Versions, first.Versions) {
		t.Errorf("%s: got %+v, want %+v", what, got, first)
	}
}

func repeatsSingles(t *testing.T, s *subject) {
	for i, original := range []store.Expected{store.NoStream(), store.Any(), store.Exactly(0)} {
		for _, n := range []int{1, 4} {
			stream := event.StreamID(fmt.Sprintf("s-%d-%d", i, n))
			events := evs(n)
			first := s.mustAppend(t, stream, original, events...)
			for round := range 2 { // at the end of the stream, then behind other events
				for _, expected := range []store.Expected{
					store.Any(), store.NoStream(), store.StreamExists(), store.Exactly(0), store.Exactly(event.Version(n)), store.Exactly(99),
				} {
					res, err := s.Append(s.ctx, stream, expected, events...)
					repeated(t, fmt.Sprintf("append of %d with %v again with %v, round %d", n, original, expected, round), res, first, err)
				}
				s.mustAppend(t, stream, store.Any(), evs(2)...)
			}
		}
	}
	s.checkLog(t)
}

func repeatsConditions(t *testing.T, s *subject) {
	e := ev("seat.taken", "seat:1")
	condition := store.Condition{Query: store.Query{{Tags: e.Tags}}}
	first, err := s.AppendIf(s.ctx, "seat-1", condition, e)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.AppendIf(s.ctx, "seat-1", condition, e)
	repeated(t, "the append", again, first, err)
	if n := len(s.checkLog(t)); n != 1 {
		t.Errorf("the log has %d events, want 1", n)
	}
}

func repeatsCommits(t *testing.T, s *subject) {
	c := store.Commit{Appends: []store.Append{
		{Stream: "a-1", Expected: store.NoStream(), Events: evs(2)},
		{Stream: "b-1", Expected: store.NoStream(), Events: evs(3)},
	}}
	first, err := s.Commit(s.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	s.mustAppend(t, "a-1", store.Any(), ev("later"))
	again, err := s.Commit(s.ctx, c)
	repeated(t, "the commit", again, first, err)
	half := store.Commit{Appends: c.Appends[:1]}
	res, err := s.Commit(s.ctx, half)
	half1 := store.Result{First: 1, Last: 2, Versions: []event.Version{2}}
	repeated(t, "a part of the commit", res, half1, err)
	s.checkLog(t)
}

func repeatsInAnotherContext(t *testing.T, s *subject) {
	e := ev("x")
	first := s.mustAppend(t, "a-1", store.NoStream(), e)
	e.Metadata = event.Metadata{TraceParent: "another trace"}
	e.OccurredAt = time.Now().Add(time.Hour)
	again, err := s.Append(s.ctx, "a-1", store.NoStream(), e)
	repeated(t, "the append", again, first, err)
}

func refusesReusedIDs(t *testing.T, s *subject) {
	e1, e2 := ev("x", "k:1"), ev("y")
	s.mustAppend(t, "a-1", store.NoStream(), e1, e2)
	s.mustAppend(t, "b-1", store.NoStream(), ev("z"))
	with := func(change func(e *event.Pending)) []event.Pending {
		e := e1
		change(&e)
		return []event.Pending{e, e2}
	}
	for what, c := range map[string]struct {
		stream event.StreamID
		events []event.Pending
	}{
		"other data":               {"a-1", with(func(e *event.Pending) { e.Data = []byte(`{"n":2}`) })},
		"other type":               {"a-1", with(func(e *event.Pending) { e.Type = "w" })},
		"other tags":               {"a-1", with(func(e *event.Pending) { e.Tags = nil })},
		"other content type":       {"a-1", with(func(e *event.Pending) { e.ContentType = "text/plain" })},
		"other schema version":     {"a-1", with(func(e *event.Pending) { e.SchemaVersion = 2 })},
		"another stream":           {"b-1", []event.Pending{e1, e2}},
		"a new stream":             {"c-1", []event.Pending{e1}},
		"another order":            {"a-1", []event.Pending{e2, e1}},
		"some of its events new":   {"a-1", []event.Pending{e1, e2, ev("new")}},
		"its first event new":      {"a-1", []event.Pending{ev("new"), e1}},
		"some elsewhere, some new": {"b-1", []event.Pending{ev("new"), e2}},
	} {
		for _, expected := range []store.Expected{store.Any(), store.NoStream(), store.Exactly(2)} {
			_, err := s.Append(s.ctx, c.stream, expected, c.events...)
			var reused *store.IDReusedError
			if !errors.As(err, &reused) || !errors.Is(err, store.ErrIDReused) {
				t.Errorf("%s, %v: got %v, want an IDReusedError", what, expected, err)
				continue
			}
			if reused.ID != e1.ID && reused.ID != e2.ID {
				t.Errorf("%s, %v: the error names id %s, which is not stored", what, expected, reused.ID)
			}
		}
	}
	if n := len(s.checkLog(t)); n != 3 {
		t.Errorf("the log has %d events, want 3", n)
	}
}

func racesRepetitions(t *testing.T, s *subject) {
	handles := []*store.Store{s.Store, s.another(t)}
	for round := range 25 {
		events := evs(1 + round%3)
		expected := [...]store.Expected{store.Any(), store.NoStream()}[round%2]
		stream := event.StreamID(fmt.Sprintf("s-%d", round))
		results := make([]store.Result, racers)
		var wg sync.WaitGroup
		for w := range racers {
			wg.Go(func() {
				var err error
				if results[w], err = handles[w%2].Append(s.ctx, stream, expected, events...); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		originals := 0
		for _, res := range results {
			if !res.Duplicate {
				originals++
			}
			if res.First != results[0].First || res.Last != results[0].Last || res.Version() != results[0].Version() {
				t.Errorf("round %d: repetitions got different results %+v and %+v", round, res, results[0])
			}
		}
		if originals != 1 {
			t.Fatalf("round %d: %d of %d repetitions were stored", round, originals, racers)
		}
	}
	s.checkLog(t)
}
