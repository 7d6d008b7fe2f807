package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func inputClauses() []clause {
	return []clause{
		{rule: "refuses what is malformed or over a limit before it writes anything", prove: refusesBadAppends},
		{rule: "refuses malformed reads", prove: refusesBadReads},
		{rule: "refuses malformed records and operations", prove: refusesBadRecords},
		{rule: "tells names apart byte by byte", prove: tellsNamesApart},
	}
}

func refusesBadAppends(t *testing.T, s *subject) {
	l := s.Limits()
	long := func(n int) string { return strings.Repeat("x", n) }
	event1 := func(change func(e *event.Pending)) []event.Pending {
		good, bad := ev("good"), ev("bad")
		change(&bad)
		return []event.Pending{good, bad}
	}
	one := func(stream event.StreamID, expected store.Expected, events ...event.Pending) store.Commit {
		return store.Commit{Appends: []store.Append{{Stream: stream, Expected: expected, Events: events}}}
	}
	with := func(change func(e *event.Pending)) store.Commit { return one("a-1", store.Any(), event1(change)...) }
	twice := ev("x")
	for what, c := range map[string]struct {
		commit store.Commit
		kind   error
	}{
		"no streams":            {store.Commit{}, store.ErrInvalid},
		"no events":             {one("a-1", store.Any()), store.ErrInvalid},
		"zero expected":         {one("a-1", store.Expected{}, ev("x")), store.ErrInvalid},
		"negative expected":     {one("a-1", store.Exactly(-1), ev("x")), store.ErrInvalid},
		"no category":           {one("a", store.Any(), ev("x")), store.ErrInvalid},
		"empty category":        {one("-a", store.Any(), ev("x")), store.ErrInvalid},
		"empty id":              {one("a-", store.Any(), ev("x")), store.ErrInvalid},
		"NUL in a stream name":  {one("a-\x00", store.Any(), ev("x")), store.ErrInvalid},
		"bad UTF-8 in a name":   {one("a-\xff", store.Any(), ev("x")), store.ErrInvalid},
		"reserved stream":       {one("$a-1", store.Any(), ev("x")), store.ErrInvalid},
		"long stream name":      {one(event.StreamID("a-"+long(l.MaxStreamBytes-1)), store.Any(), ev("x")), store.ErrTooLarge},
		"no type":               {with(func(e *event.Pending) { e.Type = "" }), store.ErrInvalid},
		"reserved type":         {with(func(e *event.Pending) { e.Type = event.TombstoneType }), store.ErrInvalid},
		"long type":             {with(func(e *event.Pending) { e.Type = long(l.MaxTypeBytes + 1) }), store.ErrTooLarge},
		"newline in a type":     {with(func(e *event.Pending) { e.Type = "a\nb" }), store.ErrInvalid},
		"negative schema":       {with(func(e *event.Pending) { e.SchemaVersion = -1 }), store.ErrInvalid},
		"NUL in a content type": {with(func(e *event.Pending) { e.ContentType = "a\x00" }), store.ErrInvalid},
		"too large":             {with(func(e *event.Pending) { e.Data = make([]byte, l.MaxEventBytes) }), store.ErrTooLarge},
		"large metadata": {with(func(e *event.Pending) {
			e.Metadata.Custom = map[string]string{"k": long(l.MaxEventBytes)}
		}), store.ErrTooLarge},
		"bad UTF-8 in metadata": {with(func(e *event.Pending) { e.Metadata.Custom = map[string]string{"k": "\xff"} }), store.ErrInvalid},
		"too many tags":         {with(func(e *event.Pending) { e.Tags = make([]event.Tag, l.MaxTags+1) }), store.ErrTooLarge},
		"long tag":              {with(func(e *event.Pending) { e.Tags = []event.Tag{event.Tag(long(l.MaxTagBytes + 1))} }), store.ErrTooLarge},
		"empty tag":             {with(func(e *event.Pending) { e.Tags = []event.Tag{""} }), store.ErrInvalid},
		"year 10000":            {with(func(e *event.Pending) { e.OccurredAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), store.ErrInvalid},
		"one id twice":          {one("a-1", store.Any(), twice, twice), store.ErrInvalid},
		"one id twice, apart":   {one("a-1", store.Any(), twice, ev("y"), twice), store.ErrInvalid},
		"one stream twice": {store.Commit{Appends: []store.Append{
			{Stream: "a-1", Expected: store.Any(), Events: evs(1)}, {Stream: "a-1", Expected: store.Any(), Events: evs(1)},
		}}, store.ErrInvalid},
		"too many events": {one("a-1", store.Any(), evs(l.MaxCommitEvents+1)...), store.ErrTooLarge},
		"too many bytes": {one("a-1", store.Any(), func() []event.Pending {
			many := evs(l.MaxCommitBytes/l.MaxEventBytes + 1)
			for i := range many {
				many[i].Data = make([]byte, l.MaxEventBytes-2)
			}
			return many
		}()...), store.ErrTooLarge},
		"empty condition": {store.Commit{Appends: one("a-1", store.Any(), ev("x")).Appends, Condition: &store.Condition{}}, store.ErrInvalid},
		"empty condition item": {store.Commit{
			Appends: one("a-1", store.Any(), ev("x")).Appends, Condition: &store.Condition{Query: store.Query{{}}},
		}, store.ErrInvalid},
		"negative condition": {store.Commit{
			Appends: one("a-1", store.Any(), ev("x")).Appends, Condition: &store.Condition{Query: store.Query{{Types: []string{"x"}}}, After: -1},
		}, store.ErrInvalid},
	} {
		if _, err := s.Commit(s.ctx, c.commit); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", what, err, c.kind)
		} else if len(err.Error()) > 500 {
			t.Errorf("%s: the error is %d bytes long", what, len(err.Error()))
		}
	}
	if n := len(s.checkLog(t)); n != 0 {
		t.Errorf("refused appends stored %d events", n)
	}
	longest := event.StreamID("a-" + long(l.MaxStreamBytes-2))
	full := ev(long(l.MaxTypeBytes))
	for i := range l.MaxTags {
		full.Tags = append(full.Tags, event.Tag(long(l.MaxTagBytes-2)+string(rune('A'+i))))
	}
	s.mustAppend(t, longest, store.NoStream(), full)
	if got := s.checkLog(t); len(got) != 1 || sameEvent(full, got[0]) != "" {
		t.Error("an event just within the limits did not come back")
	}
}

func refusesBadReads(t *testing.T, s *subject) {
	for what, read := range map[string]func() error{
		"negative version":  func() error { return drain(s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1", From: -1})) },
		"negative limit":    func() error { return drain(s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1", Limit: -1})) },
		"bad stream":        func() error { return drain(s.ReadStream(s.ctx, store.StreamRead{Stream: "a"})) },
		"negative position": func() error { return drain(s.ReadLog(s.ctx, store.LogRead{From: -1})) },
		"negative end":      func() error { return drain(s.ReadLog(s.ctx, store.LogRead{To: -1})) },
		"category with a dash": func() error {
			return drain(s.ReadLog(s.ctx, store.LogRead{Filter: store.Filter{Categories: []string{"a-b"}}}))
		},
		"empty category": func() error {
			return drain(s.ReadLog(s.ctx, store.LogRead{Filter: store.Filter{Categories: []string{""}}}))
		},
		"empty query item": func() error {
			return drain(s.ReadLog(s.ctx, store.LogRead{Filter: store.Filter{Query: store.Query{{}}}}))
		},
		"bad stream of info":  func() error { _, err := s.StreamInfo(s.ctx, ""); return err },
		"negative list limit": func() error { return drain(s.Streams(s.ctx, store.StreamsRead{Limit: -1})) },
		"bad list category":   func() error { return drain(s.Streams(s.ctx, store.StreamsRead{Category: "a-b"})) },
	} {
		if err := read(); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		}
	}
}

func refusesBadRecords(t *testing.T, s *subject) {
	l := s.Limits()
	for what, c := range map[string]struct {
		op   store.Op
		kind error
	}{
		"no kind":           {store.Op{Bucket: "b", Key: "k"}, store.ErrInvalid},
		"no bucket":         {store.Put("", "k", nil), store.ErrInvalid},
		"no key":            {store.Put("b", "", nil), store.ErrInvalid},
		"NUL in a key":      {store.Delete("b", "\x00"), store.ErrInvalid},
		"long key":          {store.Put("b", strings.Repeat("k", l.MaxKeyBytes+1), nil), store.ErrTooLarge},
		"large value":       {store.Put("b", "k", make([]byte, l.MaxRecordBytes+1)), store.ErrTooLarge},
		"negative TTL":      {store.Put("b", "k", nil).For(-1), store.ErrInvalid},
		"negative revision": {store.Put("b", "k", nil).When(store.IfRevision(-1)), store.ErrInvalid},
	} {
		if _, err := s.Apply(s.ctx, store.Put("b", "good", nil), c.op); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", what, err, c.kind)
		}
	}
	if got := all(t, s.Scan(s.ctx, store.Scan{Bucket: "b"})); len(got) != 0 {
		t.Errorf("refused batches stored %d records", len(got))
	}
}

func tellsNamesApart(t *testing.T, s *subject) {
	names := []event.StreamID{"a-1", "A-1", "a-1 ", "a-É", "a-E\u0301", "a-e", "a-%", "a-_", "a-'", `a-"`, `a-\`, "a-1-", "a--1", "a-🦆", "a-$1", "a-;drop table"}
	for i, name := range names {
		s.mustAppend(t, name, store.NoStream(), evs(1+i%3)...)
	}
	for i, name := range names {
		if got := all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: name})); len(got) != 1+i%3 {
			t.Errorf("stream %q: got %d events, want %d", name, len(got), 1+i%3)
		}
	}
	if n := len(all(t, s.Streams(s.ctx, store.StreamsRead{}))); n != len(names) {
		t.Errorf("%d streams are listed, want %d", n, len(names))
	}
}
