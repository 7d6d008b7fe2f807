package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func readClauses() []clause {
	return []clause{
		{rule: "reads a stream from any version in both directions with a limit", prove: readsStreams},
		{rule: "reads the log from and to any position in both directions with a limit", prove: readsLog},
		{rule: "reads long logs and streams whole", prove: readsLongLogs},
		{rule: "filters by category and stream and type and tags as the model does", prove: filters},
		{rule: "yields nothing for a missing stream and says that it is not found", prove: missesStreams},
		{rule: "ends a read at the head that it saw", prove: endsAtTheHead},
		{rule: "releases everything when a reader stops early", prove: stopsEarly},
		{rule: "lets a reader read and append inside its loop", prove: nestsReads},
		{rule: "hands out slices that the reader may change", prove: handsOutCopies},
		{rule: "lists streams in byte order with what is known of each", prove: listsStreams},
		{rule: "ends a read when its context ends", prove: cancelsReads},
	}
}

// reverse gives a reversed copy.
func reverse[T any](s []T) []T {
	r := slices.Clone(s)
	slices.Reverse(r)
	return r
}

// limited gives at most n; 0 is no limit.
func limited[T any](s []T, n int) []T {
	if n > 0 && n < len(s) {
		return s[:n]
	}
	return s
}

func positions(events []event.Recorded) []event.Position {
	ps := make([]event.Position, len(events))
	for i := range events {
		ps[i] = events[i].Position
	}
	return ps
}

func readsStreams(t *testing.T, s *subject) {
	for range 7 {
		s.mustAppend(t, "a-1", store.Any(), ev("x"))
		s.mustAppend(t, "a-11", store.Any(), ev("noise"))
	}
	for _, backwards := range []bool{false, true} {
		for from := range 10 {
			for limit := range 9 {
				want := []event.Version{1, 2, 3, 4, 5, 6, 7}
				want = slices.DeleteFunc(want, func(v event.Version) bool {
					return from > 0 && (!backwards && int(v) < from || backwards && int(v) > from)
				})
				if backwards {
					want = reverse(want)
				}
				want = limited(want, limit)
				var got []event.Version
				for _, e := range all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1", From: event.Version(from), Limit: limit, Backwards: backwards})) {
					if e.Stream != "a-1" || e.Type != "x" {
						t.Errorf("reading a-1 gave an event of %s", e.Stream)
					}
					got = append(got, e.Version)
				}
				if !slices.Equal(got, want) {
					t.Errorf("from %d, limit %d, backwards %v: got versions %v, want %v", from, limit, backwards, got, want)
				}
			}
		}
	}
}

func readsLog(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.Any(), evs(3)...)
	s.mustAppend(t, "b-1", store.Any(), evs(3)...)
	for _, backwards := range []bool{false, true} {
		for from := range event.Position(9) {
			for to := range event.Position(9) {
				for _, limit := range []int{0, 1, 2, 10} {
					var want []event.Position
					for p := range event.Position(7) {
						low, high := from, to
						if backwards {
							low, high = to, from
						}
						if p >= max(low, 1) && (high == 0 || p <= high) {
							want = append(want, p)
						}
					}
					if backwards {
						want = reverse(want)
					}
					want = limited(want, limit)
					got := positions(all(t, s.ReadLog(s.ctx, store.LogRead{From: from, To: to, Limit: limit, Backwards: backwards})))
					if !slices.Equal(got, want) {
						t.Errorf("from %d to %d, limit %d, backwards %v: got %v, want %v", from, to, limit, backwards, got, want)
					}
				}
			}
		}
	}
}

func readsLongLogs(t *testing.T, s *subject) {
	const n = 12_345 // several pages of any driver
	limits := s.Limits()
	for left := n; left > 0; {
		size := min(left, limits.MaxCommitEvents)
		batch := evs(size)
		for i := range batch {
			batch[i].Data = fmt.Appendf(nil, `{"i":%d}`, n-left+i+1)
		}
		s.mustAppend(t, "long-1", store.Exactly(event.Version(n-left)), batch...)
		left -= size
	}
	check := func(what string, events []event.Recorded, want []int) {
		t.Helper()
		if len(events) != len(want) {
			t.Errorf("%s: got %d events, want %d", what, len(events), len(want))
			return
		}
		for i, w := range want {
			if string(events[i].Data) != fmt.Sprintf(`{"i":%d}`, w) || int(events[i].Version) != w || int(events[i].Position) != w {
				t.Errorf("%s: entry %d is version %d with data %s, want %d", what, i, events[i].Version, events[i].Data, w)
				return
			}
		}
	}
	every := make([]int, n)
	for i := range every {
		every[i] = i + 1
	}
	check("log", s.checkLog(t), every)
	check("log backwards", all(t, s.ReadLog(s.ctx, store.LogRead{Backwards: true})), reverse(every))
	check("stream", all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "long-1"})), every)
	check("stream backwards", all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "long-1", Backwards: true})), reverse(every))
	check("limit over pages", all(t, s.ReadLog(s.ctx, store.LogRead{From: 100, Limit: 11_000})), every[99:11_099])
	check("stream limit over pages", all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "long-1", From: 100, Limit: 11_000})), every[99:11_099])
}

func filters(t *testing.T, s *subject) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same data in every run
	streams := []event.StreamID{"order-1", "order-1-1", "orders-1", "ord-1", "Order-1", "order_-1", "order%-1", "o'rder-1", "ordér-1"}
	types := []string{"placed", "paid", "place", "Placed", "pla%"}
	tags := []event.Tag{"k:1", "k:2", "k:11", "K:1", "o'k", `"q"`, "a,b", "{x}"}
	for range 60 {
		var batch []event.Pending
		for range 1 + random.IntN(5) {
			e := ev(types[random.IntN(len(types))])
			for range random.IntN(4) {
				e.Tags = append(e.Tags, tags[random.IntN(len(tags))])
			}
			batch = append(batch, e)
		}
		s.mustAppend(t, streams[random.IntN(len(streams))], store.Any(), batch...)
	}
	log := s.checkLog(t)
	for i, f := range []store.Filter{
		{},
		{Categories: []string{"order"}},
		{Categories: []string{"order", "order%"}},
		{Categories: []string{"order_"}},
		{Categories: []string{"none"}},
		{Categories: []string{"o'rder", "ordér", "ord"}},
		{Streams: []event.StreamID{"order-1"}},
		{Streams: []event.StreamID{"order-1", "Order-1", "none-1"}},
		{Categories: []string{"order"}, Streams: []event.StreamID{"order-1", "ord-1"}},
		{Query: store.Query{{Types: []string{"placed"}}}},
		{Query: store.Query{{Types: []string{"pla%", "paid"}}}},
		{Query: store.Query{{Tags: []event.Tag{"k:1"}}}},
		{Query: store.Query{{Tags: []event.Tag{"k:1", "k:2"}}}},
		{Query: store.Query{{Tags: []event.Tag{"k:1", "k:1"}}}},
		{Query: store.Query{{Tags: []event.Tag{"o'k"}}, {Tags: []event.Tag{`"q"`}}, {Tags: []event.Tag{"a,b"}}}},
		{Query: store.Query{{Types: []string{"paid", "place"}, Tags: []event.Tag{"k:2"}}}},
		{Query: store.Query{{Types: []string{"paid"}, Tags: []event.Tag{"k:2"}}, {Types: []string{"Placed"}}, {Tags: []event.Tag{"{x}", "K:1"}}}},
		{Categories: []string{"order", "ord"}, Query: store.Query{{Types: []string{"paid"}}, {Tags: []event.Tag{"k:11"}}}},
		{Streams: []event.StreamID{"order-1-1", "order_-1"}, Query: store.Query{{Tags: []event.Tag{"k:1"}}}},
	} {
		var want []event.Position
		for _, e := range log {
			if f.Matches(e.Stream, e.Type, e.Tags) {
				want = append(want, e.Position)
			}
		}
		for _, r := range []store.LogRead{{}, {Limit: 3}, {From: 40}, {From: 40, To: 90, Limit: 7}, {To: 77}} {
			r.Filter = f
			inside := slices.DeleteFunc(slices.Clone(want), func(p event.Position) bool { return p < r.From || r.To > 0 && p > r.To })
			if got := positions(all(t, s.ReadLog(s.ctx, r))); !slices.Equal(got, limited(inside, r.Limit)) {
				t.Errorf("filter %d, %+v: got %v, want %v", i, r, got, limited(inside, r.Limit))
			}
			r.Backwards, r.From, r.To = true, r.To, r.From
			if got := positions(all(t, s.ReadLog(s.ctx, r))); !slices.Equal(got, limited(reverse(inside), r.Limit)) {
				t.Errorf("filter %d, %+v: got %v, want %v", i, r, got, limited(reverse(inside), r.Limit))
			}
		}
	}
}

func missesStreams(t *testing.T, s *subject) {
	for range 2 { // in an empty store, then in one that holds other streams
		if got := all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "none-1"})); len(got) != 0 {
			t.Errorf("got %d events of a missing stream", len(got))
		}
		if got := all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "none-1", Backwards: true})); len(got) != 0 {
			t.Errorf("got %d events of a missing stream backwards", len(got))
		}
		if _, err := s.StreamInfo(s.ctx, "none-1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("StreamInfo: got %v, want ErrNotFound", err)
		}
		s.mustAppend(t, "other-1", store.Any(), ev("x"))
	}
}

func endsAtTheHead(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), evs(5)...)
	n := 0
	for e, err := range s.ReadLog(s.ctx, store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 5 {
			t.Fatalf("the read went on to position %d, which was appended after it began", e.Position)
		}
		s.mustAppend(t, "a-1", store.Any(), ev("more"))
	}
	if n != 5 {
		t.Errorf("got %d events, want 5", n)
	}
}

func stopsEarly(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), evs(50)...)
	for i := range 300 { // more than any pool has connections
		for e, err := range s.ReadLog(s.ctx, store.LogRead{Backwards: i%2 == 0}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Stream == "a-1" {
				break
			}
		}
		for _, err := range s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1"}) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	s.mustAppend(t, "a-1", store.Exactly(50), ev("last"))
}

func nestsReads(t *testing.T, s *subject) {
	for i := range 5 {
		s.mustAppend(t, event.StreamID(fmt.Sprintf("s-%d", i)), store.NoStream(), evs(3)...)
	}
	n := 0
	for e, err := range s.ReadLog(s.ctx, store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range s.ReadStream(s.ctx, store.StreamRead{Stream: e.Stream, Backwards: true}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if e.Version == 1 {
			s.mustAppend(t, e.Stream+"-copy", store.NoStream(), ev("copy"))
		}
	}
	if n != 45 {
		t.Errorf("the inner reads gave %d events, want 45", n)
	}
}

func handsOutCopies(t *testing.T, s *subject) {
	given := ev("x", "k:1")
	given.Metadata.Custom = map[string]string{"a": "1"}
	untouched := ev("x", "k:1")
	untouched.ID = given.ID
	untouched.Metadata.Custom = map[string]string{"a": "1"}
	input := []event.Pending{given}
	s.mustAppend(t, "a-1", store.NoStream(), input...)
	if input[0].SchemaVersion != 0 || !input[0].OccurredAt.IsZero() || input[0].ContentType != "" {
		t.Error("the append changed its input")
	}
	given.Data[2], given.Tags[0], given.Metadata.Custom["a"] = 'X', "k:9", "9" // the store must not have kept these
	for range 2 {
		for _, got := range append(s.everything(t), all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1"}))...) {
			if diff := sameEvent(untouched, got); diff != "" {
				t.Fatal(diff)
			}
			for i := range got.Data {
				got.Data[i] = '!'
			}
			clear(got.RawMetadata)
			clear(got.Tags)
			_ = append(got.Data, "overflow into a neighbour"...)
		}
	}
}

func listsStreams(t *testing.T, s *subject) {
	names := []event.StreamID{"Zoo-1", "a-1", "a-10", "a-2", "a-b-c", "a_b-1", "b-1", "ä-1"} // in byte order
	for _, i := range []int{3, 1, 7, 0, 5, 2, 6, 4} {
		s.mustAppend(t, names[i], store.NoStream(), evs(i+1)...)
	}
	for _, c := range []struct {
		read store.StreamsRead
		want []event.StreamID
	}{
		{store.StreamsRead{}, names},
		{store.StreamsRead{Category: "a"}, names[1:5]},
		{store.StreamsRead{Category: "a", After: "a-10"}, names[3:5]},
		{store.StreamsRead{After: "a-2"}, names[4:]},
		{store.StreamsRead{After: "a-1x", Limit: 2}, names[3:5]},
		{store.StreamsRead{Category: "none"}, nil},
	} {
		var got []event.StreamID
		for _, info := range all(t, s.Streams(s.ctx, c.read)) {
			got = append(got, info.Stream)
			version := event.Version(slices.Index(names, info.Stream) + 1)
			single, err := s.StreamInfo(s.ctx, info.Stream)
			if err != nil || single.Stream != info.Stream || single.Version != version || info.Version != version || info.First != 1 || info.Deleted {
				t.Errorf("stream %s: got %+v and %+v (%v), want version %d", info.Stream, info, single, err, version)
			}
			last := all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: info.Stream, Backwards: true, Limit: 1}))[0]
			if info.Position != last.Position || !info.UpdatedAt.Equal(last.RecordedAt) || info.CreatedAt.After(info.UpdatedAt) || info.CreatedAt.IsZero() {
				t.Errorf("stream %s: %+v does not agree with its last event %+v", info.Stream, info, last)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.read, got, c.want)
		}
	}
}

func cancelsReads(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), evs(4000)...)
	s.mustAppend(t, "a-1", store.Any(), evs(4000)...)
	s.mustAppend(t, "a-1", store.Any(), evs(4000)...)
	for what, read := range map[string]func(ctx context.Context) error{
		"log": func(ctx context.Context) error {
			for _, err := range s.ReadLog(ctx, store.LogRead{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"stream": func(ctx context.Context) error {
			for _, err := range s.ReadStream(ctx, store.StreamRead{Stream: "a-1"}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"head": func(ctx context.Context) error { _, err := s.Head(ctx); return err },
		"info": func(ctx context.Context) error { _, err := s.StreamInfo(ctx, "a-1"); return err },
	} {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		if err := read(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: got %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	n := 0
	var failure error
	for _, err := range s.ReadLog(ctx, store.LogRead{}) {
		if failure = err; err != nil {
			break
		}
		if n++; n == 10 {
			cancel()
		}
	}
	if n == 12_000 || !errors.Is(failure, context.Canceled) {
		t.Errorf("a read whose context ended at event 10 gave %d events and ended with %v", n, failure)
	}
	s.mustAppend(t, "a-1", store.Any(), ev("still usable"))
}
