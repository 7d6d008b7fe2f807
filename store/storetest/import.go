package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func importClauses() []clause {
	clauses := []clause{
		{rule: "takes over events exactly as they are", prove: importsVerbatim},
		{rule: "goes on after an import as after an append", prove: goesOnAfterImport},
		{rule: "leaves out the positions that the source has lost", prove: importsGaps},
		{rule: "truncates a stream that the source has truncated meanwhile", prove: importsTruncation},
		{rule: "ends a stream whose tombstone is imported", prove: importsTombstone},
		{rule: "imports only where the log ends where the import goes on", prove: refusesOtherHead},
		{rule: "lets one of several imports at once win", prove: racesImports},
		{rule: "refuses an import that does not fit the streams or ids", prove: refusesMisfits},
		{rule: "names the event that is over a limit and stores nothing", prove: refusesOversized},
		{rule: "takes over records with their revisions and expiry", prove: importsRecords},
		{rule: "names its buckets", prove: listsBuckets},
	}
	for i := range clauses {
		clauses[i].needs = offers[store.Importer]
	}
	return clauses
}

// source makes events as another log holds them: n of a stream, from a version and a position on, which is an odd time ago.
func source(stream event.StreamID, version event.Version, position event.Position, n int) []event.Recorded {
	var events []event.Recorded
	for i := range n {
		at := time.Date(2019, 2, 3, 4, 5, 6, int(position+event.Position(i))*1000, time.UTC)
		events = append(events, event.Recorded{
			ID: event.NewID(), Stream: stream, Version: version + event.Version(i), Position: position + event.Position(i),
			Type: "thing.done", SchemaVersion: 1, ContentType: event.JSON, Data: []byte(`{"a":1}`), RawMetadata: []byte("{}"),
			OccurredAt: at.Add(-time.Hour), RecordedAt: at,
		})
	}
	return events
}

func (s *subject) mustImport(t *testing.T, after event.Position, events []event.Recorded) {
	t.Helper()
	if err := s.Import(s.ctx, after, events); err != nil {
		t.Fatal(err)
	}
}

// same checks that events are exactly as wanted.
func same(t *testing.T, what string, got, want []event.Recorded) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d events, want %d", what, len(got), len(want))
	}
	for i := range want {
		g, w := got[i], want[i]
		if !bytes.Equal(g.Data, w.Data) || !bytes.Equal(g.RawMetadata, w.RawMetadata) || !slices.Equal(g.Tags, w.Tags) ||
			!g.OccurredAt.Equal(w.OccurredAt) || !g.RecordedAt.Equal(w.RecordedAt) || g.OccurredAt.Location() != time.UTC {
			t.Errorf("%s: event %d is %+v, want %+v", what, i+1, g, w)
		}
		g.Data, g.RawMetadata, g.Tags, g.OccurredAt, g.RecordedAt = w.Data, w.RawMetadata, w.Tags, w.OccurredAt, w.RecordedAt
		if fmt.Sprintf("%+v", g) != fmt.Sprintf("%+v", w) {
			t.Errorf("%s: event %d is %+v, want %+v", what, i+1, g, w)
		}
	}
}

func importsVerbatim(t *testing.T, s *subject) {
	a, b := source("a-1", 1, 1, 3), source("b-ü", 1, 2, 2)
	a[0].Data, a[0].RawMetadata = nil, []byte(`{"tenant":"t", "custom":{"z":"1","a":"2"}, "later":true}`) // not in our order, not ours alone
	a[1].Position, a[2].Position = 4, 5
	a[1].Data, a[1].ContentType, a[1].SchemaVersion = []byte{0, 0xff, 7}, "application/x-thing", 3
	a[2].Tags = []event.Tag{"y:2", "x:1", "y:2"}
	a[2].RecordedAt = a[0].RecordedAt.Add(-time.Minute) // clocks do go back
	b[1].Data = bytes.Repeat([]byte("large "), 20_000)
	events := []event.Recorded{a[0], b[0], b[1], a[1], a[2]}
	s.mustImport(t, 0, events[:2])
	s.mustImport(t, 2, events[2:])
	events[0].Data = []byte{}
	same(t, "the log", s.everything(t), events)
	same(t, "stream a-1", all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1"})), a)
	same(t, "stream b-ü backwards", reverse(all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "b-ü", Backwards: true}))), b)
	same(t, "those tagged y:2", all(t, s.ReadLog(s.ctx, store.LogRead{Filter: store.Filter{Query: store.Query{{Tags: []event.Tag{"y:2"}}}}})), a[2:])
	same(t, "those of category b", all(t, s.ReadLog(s.ctx, store.LogRead{Filter: store.Filter{Categories: []string{"b"}}})), b)
	info, err := s.StreamInfo(s.ctx, "a-1")
	want := store.StreamInfo{Stream: "a-1", Version: 3, First: 1, Position: 5, CreatedAt: a[0].RecordedAt, UpdatedAt: a[2].RecordedAt}
	if err != nil || info != want {
		t.Errorf("stream a-1 is %+v (%v), want %+v", info, err, want)
	}
}

func goesOnAfterImport(t *testing.T, s *subject) {
	other := s.another(t)
	if _, err := other.Append(s.ctx, "a-1", store.NoStream(), evs(2)...); err != nil { // it now knows where the log ends
		t.Fatal(err)
	}
	imported := source("a-1", 3, 3, 2)
	imported[1].Tags = []event.Tag{"seat:1"}
	s.mustImport(t, 2, imported)
	_, err := other.Append(s.ctx, "a-1", store.Exactly(2), ev("late"))
	wantConflict(t, err, "a-1", store.Exactly(2), 4)
	_, err = other.AppendIf(s.ctx, "c-1", store.Condition{Query: store.Query{{Tags: []event.Tag{"seat:1"}}}, After: 2}, ev("late"))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("a condition that an imported event breaks: %v", err)
	}
	if res, err := other.Append(s.ctx, "a-1", store.Exactly(4), evs(2)...); err != nil || res.First != 5 || res.Version() != 6 {
		t.Errorf("the append after an import: %+v, %v; want position 5, version 6", res, err)
	}
	p, err := imported[0].Pending()
	if err != nil {
		t.Fatal(err)
	}
	if res, err := other.Append(s.ctx, "a-1", store.Exactly(2), p); err != nil || !res.Duplicate || res.First != 3 {
		t.Errorf("appending an imported event again: %+v, %v; want the duplicate at position 3", res, err)
	}
	s.checkLog(t)
}

func importsGaps(t *testing.T, s *subject) {
	events := slices.Concat(source("a-1", 4, 3, 1), source("b-1", 1, 5, 2), source("a-1", 5, 2000, 1))
	s.mustImport(t, 0, events)
	same(t, "the log", s.everything(t), events)
	same(t, "the log from a gap on", all(t, s.ReadLog(s.ctx, store.LogRead{From: 7})), events[3:])
	same(t, "the log backwards from a gap on", all(t, s.ReadLog(s.ctx, store.LogRead{From: 1500, Limit: 1, Backwards: true})), events[2:3])
	if info, err := s.StreamInfo(s.ctx, "a-1"); err != nil || info.First != 4 || info.Version != 5 || info.Position != 2000 {
		t.Errorf("stream a-1 is %+v, %v; want versions 4 to 5", info, err)
	}
	s.wantRemovals(t, "map[a-1:3]")
	if res := s.mustAppend(t, "a-1", store.Exactly(5), ev("x")); res.First != 2001 {
		t.Errorf("the next position is %d, want 2001", res.First)
	}
	if removed, err := s.Truncate(s.ctx, "a-1", 6); err != nil || removed != 2 {
		t.Errorf("truncating removed %d (%v), want 2", removed, err)
	}
	s.wantRemovals(t, "map[a-1:5]")
}

func (s *subject) wantRemovals(t *testing.T, want string) {
	t.Helper()
	got := map[string]string{}
	for _, r := range all(t, s.Scan(s.ctx, store.Scan{Bucket: store.TruncatedBucket})) {
		got[r.Key] = string(r.Value)
	}
	if fmt.Sprint(got) != want {
		t.Errorf("removals are accounted as %v, want %s", got, want)
	}
}

func importsTruncation(t *testing.T, s *subject) {
	if _, ok := s.Backend().(store.Truncator); !ok {
		t.Skip("the backend cannot truncate")
	}
	first, other := source("a-1", 1, 1, 5), source("b-1", 1, 6, 1)
	s.mustImport(t, 0, slices.Concat(first, other))
	later := source("a-1", 8, 9, 2) // versions 1 to 7 are gone by now
	s.mustImport(t, 6, later)
	same(t, "stream a-1", all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1"})), later)
	same(t, "stream a-1 backwards", reverse(all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1", Backwards: true}))), later)
	same(t, "the log", s.everything(t), slices.Concat(other, later))
	s.wantRemovals(t, "map[a-1:7]")
	if info, err := s.StreamInfo(s.ctx, "a-1"); err != nil || info.First != 8 || info.Version != 9 {
		t.Errorf("stream a-1 is %+v, %v; want versions 8 to 9", info, err)
	}
	single := source("b-1", 3, 12, 1) // of a stream of which one event is here
	s.mustImport(t, 10, single)
	same(t, "stream b-1", all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "b-1"})), single)
	s.wantRemovals(t, "map[a-1:7 b-1:2]")
	p, err := first[4].Pending()
	if err != nil {
		t.Fatal(err)
	}
	if res, err := s.Append(s.ctx, "a-1", store.Exactly(9), p); err != nil || res.First != 13 {
		t.Errorf("the id of a removed event is free: %+v, %v", res, err)
	}
}

func importsTombstone(t *testing.T, s *subject) {
	events := source("a-1", 1, 1, 2)
	tombstone := source("a-1", 3, 3, 1)
	tombstone[0].Type = event.TombstoneType
	gone := source("b-1", 7, 11, 1)
	gone[0].Type = event.TombstoneType
	s.mustImport(t, 0, events)
	s.mustImport(t, 2, slices.Concat(tombstone, gone))
	for _, stream := range []event.StreamID{"a-1", "b-1"} {
		if info, err := s.StreamInfo(s.ctx, stream); err != nil || !info.Deleted {
			t.Errorf("stream %s is %+v, %v; want it deleted", stream, info, err)
		}
		if _, err := s.Append(s.ctx, stream, store.Any(), ev("x")); !errors.Is(err, store.ErrStreamDeleted) {
			t.Errorf("append to %s: %v", stream, err)
		}
	}
	if err := s.Import(s.ctx, 11, source("a-1", 4, 12, 1)); !errors.Is(err, store.ErrStreamDeleted) {
		t.Errorf("import after the tombstone: %v", err)
	}
}

func refusesOtherHead(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), evs(3)...)
	for _, after := range []event.Position{0, 2, 4} {
		var head *store.HeadError
		err := s.Import(s.ctx, after, source("b-1", 1, after+1, 2))
		if !errors.As(err, &head) || !errors.Is(err, store.ErrConflict) || head.Actual != 3 || head.Expected != after {
			t.Errorf("import after %d: %v; want that the log ends at 3", after, err)
		}
	}
	s.checkLog(t)
}

func racesImports(t *testing.T, s *subject) {
	other := s.another(t)
	for round := range 5 {
		after := event.Position(3 * round)
		sources := [][]event.Recorded{source(event.StreamID(fmt.Sprintf("a-%d", round)), 1, after+1, 3), source(event.StreamID(fmt.Sprintf("b-%d", round)), 1, after+1, 3)}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, by := range []*store.Store{s.Store, other} {
			wg.Go(func() { errs[i] = by.Import(s.ctx, after, sources[i]) })
		}
		wg.Wait()
		winner := slices.Index(errs, nil)
		if winner < 0 || !errors.Is(errs[1-winner], store.ErrConflict) {
			t.Fatalf("round %d: %v; want one to win, and a conflict", round, errs)
		}
		same(t, "what was imported", all(t, s.ReadLog(s.ctx, store.LogRead{From: after + 1})), sources[winner])
	}
}

func refusesMisfits(t *testing.T, s *subject) {
	stored := source("a-1", 1, 1, 3)
	s.mustImport(t, 0, stored)
	twice := source("b-1", 1, 4, 2)
	twice[1].ID = stored[1].ID
	skips := slices.Concat(source("b-1", 1, 4, 1), source("b-1", 3, 5, 1))
	for what, c := range map[string]struct {
		events []event.Recorded
		kind   error
	}{
		"a version that is taken":            {source("a-1", 3, 4, 1), store.ErrConflict},
		"an id that is taken":                {twice, store.ErrIDReused},
		"no events":                          {nil, store.ErrInvalid},
		"positions that stand still":         {slices.Concat(source("b-1", 1, 4, 1), source("c-1", 1, 4, 1)), store.ErrInvalid},
		"versions that skip in one import":   {skips, store.ErrInvalid},
		"a stream of the store's own":        {source("$a-1", 1, 4, 1), store.ErrInvalid},
		"more events than a commit may have": {source("b-1", 1, 4, s.Limits().MaxCommitEvents+1), store.ErrTooLarge},
	} {
		if err := s.Import(s.ctx, 3, c.events); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", what, err, c.kind)
		}
	}
	log := s.everything(t)
	if what := "an id that is taken"; len(log) == 4 { // those before it may be there
		same(t, what, log[3:], twice[:1])
		log = log[:3]
	}
	same(t, "the log", log, stored)
}

func refusesOversized(t *testing.T, s *subject) {
	small := store.New(s.Backend(), store.Options{Limits: store.Limits{MaxEventBytes: 100}})
	events := source("a-1", 1, 1, 3)
	events[1].Data = bytes.Repeat([]byte("x"), 200)
	err := small.Import(s.ctx, 0, events)
	if !errors.Is(err, store.ErrTooLarge) || !bytes.Contains([]byte(err.Error()), []byte("position 2")) {
		t.Errorf("got %v, want that the event at position 2 is too large", err)
	}
	if head, err := s.Head(s.ctx); head != 0 || err != nil {
		t.Errorf("the head is %d (%v), want 0", head, err)
	}
}

func importsRecords(t *testing.T, s *subject) {
	far := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	records := []store.Record{
		{Bucket: "b", Key: "k", Value: []byte("v"), Revision: 700},
		{Bucket: "b", Key: "l", Value: []byte{}, Revision: 500, ExpiresAt: far},
	}
	if err := s.ImportRecords(s.ctx, records); err != nil {
		t.Fatal(err)
	}
	if err := s.ImportRecords(s.ctx, records); err != nil {
		t.Fatalf("once more: %v", err)
	}
	got := all(t, s.Scan(s.ctx, store.Scan{Bucket: "b"}))
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", records) {
		t.Errorf("got %+v, want %+v", got, records)
	}
	revisions, err := s.Apply(s.ctx, store.Put("b", "k", []byte("w")).When(store.IfRevision(700)))
	if err != nil || revisions[0] <= 700 {
		t.Fatalf("the next revision is %v (%v), want more than 700", revisions, err)
	}
	records[1].Value, records[1].Revision = []byte("changed"), 501
	var stale *store.RevisionError
	if err := s.ImportRecords(s.ctx, records); !errors.As(err, &stale) || stale.Key != "k" || stale.Actual != revisions[0] {
		t.Errorf("importing over a newer record: %v", err)
	}
	if r, err := s.Get(s.ctx, "b", "l"); err != nil || len(r.Value) != 0 {
		t.Errorf("a refused import has changed a record: %+v, %v", r, err)
	}
	if _, err := s.Apply(s.ctx, store.Delete("b", "k")); err != nil {
		t.Fatal(err)
	}
	if err := s.ImportRecords(s.ctx, records); err != nil {
		t.Errorf("importing where there is none: %v", err)
	}
	if r, err := s.Get(s.ctx, "b", "k"); err != nil || r.Revision != 700 || string(r.Value) != "v" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := s.Get(s.ctx, "b", "l"); err != nil || string(r.Value) != "changed" || !r.ExpiresAt.Equal(far) {
		t.Errorf("got %+v, %v", r, err)
	}
}

func listsBuckets(t *testing.T, s *subject) {
	if got, err := s.Buckets(s.ctx); err != nil || len(got) != 0 {
		t.Errorf("an empty store has the buckets %q (%v)", got, err)
	}
	for _, bucket := range []string{"b/x", "$a", "b", "ä", "b*?["} {
		if _, err := s.Apply(s.ctx, store.Put(bucket, "k-1", nil), store.Put(bucket, "k-2", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Buckets(s.ctx); err != nil || !slices.Equal(got, []string{"$a", "b", "b*?[", "b/x", "ä"}) {
		t.Errorf("the buckets are %q (%v)", got, err)
	}
}
