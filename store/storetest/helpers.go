package storetest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// ev makes an event of a type, with tags.
func ev(eventType string, tags ...event.Tag) event.Pending {
	return event.Pending{ID: event.NewID(), Type: eventType, Data: []byte(`{"n":1}`), Tags: tags}
}

// evs makes n events.
func evs(n int) []event.Pending {
	all := make([]event.Pending, n)
	for i := range all {
		all[i] = ev(fmt.Sprintf("thing.%d", i))
	}
	return all
}

// mustAppend appends, or ends the test.
func (s *subject) mustAppend(t *testing.T, stream event.StreamID, expected store.Expected, events ...event.Pending) store.Result {
	t.Helper()
	res, err := s.Append(s.ctx, stream, expected, events...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// all collects what a sequence yields, or ends the test.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var got []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	return got
}

// everything reads the whole log.
func (s *subject) everything(t *testing.T) []event.Recorded {
	t.Helper()
	return all(t, s.ReadLog(s.ctx, store.LogRead{}))
}

// checkLog proves the invariants of a whole log that nothing was removed from: positions 1, 2, 3…, the versions of each
// stream 1, 2, 3… in that order, ids unique. It returns the log.
func (s *subject) checkLog(t *testing.T) []event.Recorded {
	t.Helper()
	log := s.everything(t)
	versions := map[event.StreamID]event.Version{}
	ids := map[event.ID]bool{}
	for i, e := range log {
		if e.Position != event.Position(i+1) {
			t.Fatalf("entry %d of the log has position %d: positions have a gap or are out of order", i+1, e.Position)
		}
		if versions[e.Stream]++; e.Version != versions[e.Stream] {
			t.Fatalf("position %d: stream %s has version %d after version %d", e.Position, e.Stream, e.Version, versions[e.Stream]-1)
		}
		if ids[e.ID] {
			t.Fatalf("position %d: event id %s appears twice", e.Position, e.ID)
		}
		ids[e.ID] = true
	}
	if head, err := s.Head(s.ctx); err != nil || int(head) != len(log) {
		t.Fatalf("head is %d (%v), but the log has %d events", head, err, len(log))
	}
	return log
}

// sameEvent reports how a stored event differs from what was appended; "" if it does not.
func sameEvent(want event.Pending, got event.Recorded) string {
	m, err := got.Metadata()
	var wantMeta, gotMeta []byte
	wantMeta, gotMeta = want.Metadata.AppendJSON(nil), m.AppendJSON(nil)
	switch {
	case err != nil:
		return err.Error()
	case got.ID != want.ID:
		return fmt.Sprintf("id %s, want %s", got.ID, want.ID)
	case got.Type != want.Type:
		return fmt.Sprintf("type %q, want %q", got.Type, want.Type)
	case got.SchemaVersion != max(want.SchemaVersion, 1):
		return fmt.Sprintf("schema version %d, want %d", got.SchemaVersion, max(want.SchemaVersion, 1))
	case got.ContentType != cmp.Or(want.ContentType, event.JSON):
		return fmt.Sprintf("content type %q, want %q", got.ContentType, want.ContentType)
	case !bytes.Equal(got.Data, want.Data):
		return fmt.Sprintf("data %q, want %q", got.Data, want.Data)
	case !bytes.Equal(gotMeta, wantMeta) || !bytes.Equal(got.RawMetadata, wantMeta):
		return fmt.Sprintf("metadata %s, want %s", got.RawMetadata, wantMeta)
	case !slices.Equal(got.Tags, want.Tags):
		return fmt.Sprintf("tags %q, want %q", got.Tags, want.Tags)
	case !want.OccurredAt.IsZero() && !got.OccurredAt.Equal(want.OccurredAt.Truncate(time.Microsecond)):
		return fmt.Sprintf("occurred at %v, want %v", got.OccurredAt, want.OccurredAt)
	}
	return ""
}

// wantConflict checks that err is the conflict of a stream.
func wantConflict(t *testing.T, err error, stream event.StreamID, expected store.Expected, actual event.Version) {
	t.Helper()
	var conflict *store.ConflictError
	if !errors.Is(err, store.ErrConflict) || !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a *store.ConflictError", err)
	}
	if conflict.Stream != stream || conflict.Expected != expected || conflict.Actual != actual {
		t.Errorf("conflict says stream %q, expected %v, actual %d; want %q, %v, %d",
			conflict.Stream, conflict.Expected, conflict.Actual, stream, expected, actual)
	}
}

// within waits for a signal that must come.
func within(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatalf("%s did not happen within %v", what, patience)
	}
}

// eventually calls try until it holds.
func eventually(t *testing.T, what string, try func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !try() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within %v", what, patience)
		}
		<-tick.C
	}
}
