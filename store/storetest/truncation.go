package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func truncationClauses() []clause {
	clauses := []clause{
		{rule: "keeps version and last event of a truncated stream", prove: truncates},
		{rule: "leaves the positions of others alone and never uses one again", prove: neverReusesPositions},
		{rule: "ends a deleted stream with a tombstone for ever", prove: deletes},
		{rule: "deletes only a stream that is as expected", prove: deletesIfExpected},
		{rule: "accounts for every removed event", prove: accountsForRemovals},
	}
	for i := range clauses {
		clauses[i].needs = offers[store.Truncator]
	}
	return clauses
}

func versions(events []event.Recorded) []event.Version {
	vs := make([]event.Version, len(events))
	for i := range events {
		vs[i] = events[i].Version
	}
	return vs
}

func truncates(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), evs(6)...)
	for _, step := range []struct {
		before  event.Version
		removed int64
		left    []event.Version
	}{
		{0, 0, []event.Version{1, 2, 3, 4, 5, 6}},
		{1, 0, []event.Version{1, 2, 3, 4, 5, 6}},
		{4, 3, []event.Version{4, 5, 6}},
		{3, 0, []event.Version{4, 5, 6}},
		{99, 2, []event.Version{6}},
		{99, 0, []event.Version{6}},
	} {
		removed, err := s.Truncate(s.ctx, "a-1", step.before)
		if err != nil || removed != step.removed {
			t.Errorf("truncate before %d: removed %d (%v), want %d", step.before, removed, err, step.removed)
		}
		if got := versions(all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1"}))); !slices.Equal(got, step.left) {
			t.Errorf("truncated before %d: versions %v, want %v", step.before, got, step.left)
		}
		if got := versions(all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1", From: 2, Backwards: true}))); !slices.Equal(got, reverse(slices.DeleteFunc(step.left, func(v event.Version) bool { return v > 2 }))) {
			t.Errorf("truncated before %d: backwards from 2 gives %v", step.before, got)
		}
	}
	info, err := s.StreamInfo(s.ctx, "a-1")
	if err != nil || info.Version != 6 || info.First != 6 || info.Deleted {
		t.Errorf("info: %+v, %v", info, err)
	}
	_, err = s.Append(s.ctx, "a-1", store.NoStream(), ev("x"))
	wantConflict(t, err, "a-1", store.NoStream(), 6)
	if res := s.mustAppend(t, "a-1", store.Exactly(6), ev("x")); res.Version() != 7 {
		t.Errorf("the next version is %d, want 7", res.Version())
	}
	if _, err := s.Truncate(s.ctx, "none-1", 5); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("truncating a missing stream: %v", err)
	}
	if _, err := s.Truncate(s.ctx, "a-1", -1); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("truncating before -1: %v", err)
	}
}

func neverReusesPositions(t *testing.T, s *subject) {
	s.mustAppend(t, "b-1", store.NoStream(), evs(2)...) // 1, 2
	s.mustAppend(t, "a-1", store.NoStream(), evs(3)...) // 3 to 5
	if _, err := s.Truncate(s.ctx, "a-1", 99); err != nil {
		t.Fatal(err)
	}
	if got := s.mustAppend(t, "b-1", store.Exactly(2), ev("x")); got.First != 6 {
		t.Errorf("the append after a truncation got position %d, want 6", got.First)
	}
	if got := positions(s.everything(t)); !slices.Equal(got, []event.Position{1, 2, 5, 6}) {
		t.Errorf("positions are %v, want [1 2 5 6]", got)
	}
	if got := positions(all(t, s.ReadLog(s.ctx, store.LogRead{Backwards: true, Limit: 3}))); !slices.Equal(got, []event.Position{6, 5, 2}) {
		t.Errorf("backwards with limit 3: %v, want [6 5 2]", got)
	}
}

func deletes(t *testing.T, s *subject) {
	other := s.another(t)
	if _, err := other.Append(s.ctx, "a-1", store.NoStream(), evs(3)...); err != nil { // it now knows the stream's version
		t.Fatal(err)
	}
	s.mustAppend(t, "b-1", store.NoStream(), ev("x"))
	res, err := s.Delete(s.ctx, "a-1", store.Exactly(3))
	if err != nil || res.First != 5 || res.Version() != 4 {
		t.Fatalf("delete: %+v, %v; want the tombstone at position 5 as version 4", res, err)
	}
	got := all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1"}))
	if len(got) != 1 || !got[0].IsTombstone() || got[0].Version != 4 || got[0].Position != 5 {
		t.Errorf("the deleted stream holds %+v", got)
	} else if got[0].OccurredAt.Nanosecond()%1000 != 0 || got[0].OccurredAt.IsZero() {
		t.Errorf("the tombstone occurred at %v, want whole microseconds", got[0].OccurredAt)
	}
	if info, err := s.StreamInfo(s.ctx, "a-1"); err != nil || !info.Deleted || info.Version != 4 {
		t.Errorf("info: %+v, %v", info, err)
	}
	for _, st := range []*store.Store{s.Store, other} {
		for _, expected := range []store.Expected{store.Any(), store.NoStream(), store.StreamExists(), store.Exactly(3), store.Exactly(4)} {
			for _, n := range []int{1, 20} {
				_, err := st.Append(s.ctx, "a-1", expected, evs(n)...)
				var deleted *store.StreamDeletedError
				if !errors.As(err, &deleted) || !errors.Is(err, store.ErrStreamDeleted) || deleted.Stream != "a-1" {
					t.Errorf("append of %d with %v: got %v, want ErrStreamDeleted", n, expected, err)
				}
			}
		}
	}
	if _, err := s.Delete(s.ctx, "a-1", store.Any()); !errors.Is(err, store.ErrStreamDeleted) {
		t.Errorf("deleting again: %v", err)
	}
	s.mustAppend(t, "b-1", store.Exactly(1), ev("x"))
}

func deletesIfExpected(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), evs(2)...)
	_, err := s.Delete(s.ctx, "a-1", store.Exactly(1))
	wantConflict(t, err, "a-1", store.Exactly(1), 2)
	if _, err := s.Delete(s.ctx, "none-1", store.Any()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting a missing stream: %v", err)
	}
	if _, err := s.Delete(s.ctx, "a-1", store.Expected{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("deleting with the zero Expected: %v", err)
	}
	if n := len(s.checkLog(t)); n != 2 {
		t.Errorf("the log has %d events, want 2", n)
	}
}

func accountsForRemovals(t *testing.T, s *subject) {
	for i := range 4 {
		s.mustAppend(t, event.StreamID(fmt.Sprintf("a-%d", i)), store.NoStream(), evs(5)...)
	}
	for _, before := range []event.Version{3, 5} {
		if _, err := s.Truncate(s.ctx, "a-1", before); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Delete(s.ctx, "a-2", store.Any()); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range all(t, s.Scan(s.ctx, store.Scan{Bucket: store.TruncatedBucket})) {
		got[r.Key] = string(r.Value)
	}
	if fmt.Sprint(got) != "map[a-1:4 a-2:5]" {
		t.Errorf("removals are accounted as %v, want a-1:4 a-2:5", got)
	}
	head, err := s.Head(s.ctx)
	if holes := int(head) - len(s.everything(t)); err != nil || holes != 9 {
		t.Errorf("the log has %d holes (%v), want 9", holes, err)
	}
}
