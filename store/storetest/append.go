package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func appendClauses() []clause {
	return []clause{
		{rule: "gives back every field of an event as it was given", prove: keepsEveryField},
		{rule: "counts versions from 1 in each stream and positions from 1 in the log", prove: countsFromOne},
		{rule: "appends when the stream is as expected and conflicts when it is not", prove: checksExpectations},
		{rule: "stores a commit to several streams whole", prove: commitsToSeveralStreams},
		{rule: "stores nothing of a commit of which one stream is not as expected", prove: refusesWholeCommits},
		{rule: "stores nothing of a commit whose last event is refused", prove: refusesWholeBatches},
		{rule: "refuses an append if an event that the condition selects came after its position", prove: checksConditions},
		{rule: "checks condition and expected versions of one commit together", prove: checksBoth},
		{rule: "lets a failing append of many concurrent ones fail alone", prove: isolatesFailures},
		{rule: "stores large events and full commits", prove: storesLargeEvents},
	}
}

func keepsEveryField(t *testing.T, s *subject) {
	want := []event.Pending{
		{
			ID: event.NewID(), Type: "order.placed", SchemaVersion: 3, ContentType: "application/x-binary; v=1",
			Data: []byte{0, 1, 2, 0xff, 0xfe, '\\', 0}, Tags: []event.Tag{"b:2", "a:1", "b:2", `we"ird,{}\ 'tag'`},
			Metadata: event.Metadata{
				CorrelationID: "c-1", CausationID: "c-0", Actor: "Zoë <zoe@example.org>", Tenant: "t\"1\"",
				TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "x=y",
				Custom: map[string]string{"z": "last", "a": "first\nline", "emoji": "🦆", "empty": ""},
			},
			OccurredAt: time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.FixedZone("", 3600)),
		},
		{ID: event.NewID(), Type: "нечто.случилось", Data: []byte{}, OccurredAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		{ID: event.NewID(), Type: "x", Data: []byte("  { \"a\" : 1.0 }\n"), OccurredAt: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)},
	}
	before := time.Now().Add(-time.Minute)
	s.mustAppend(t, "order-7", store.NoStream(), want...)
	for _, got := range [][]event.Recorded{s.everything(t), all(t, s.ReadStream(s.ctx, store.StreamRead{Stream: "order-7"}))} {
		if len(got) != len(want) {
			t.Fatalf("got %d events, want %d", len(got), len(want))
		}
		for i := range want {
			if diff := sameEvent(want[i], got[i]); diff != "" {
				t.Errorf("event %d: %s", i+1, diff)
			}
			if got[i].RecordedAt.Before(before) || got[i].RecordedAt.After(time.Now().Add(time.Minute)) {
				t.Errorf("event %d: recorded at %v, which is not now", i+1, got[i].RecordedAt)
			}
			if got[i].Stream != "order-7" {
				t.Errorf("event %d: stream %s", i+1, got[i].Stream)
			}
		}
	}
}

func countsFromOne(t *testing.T, s *subject) {
	if head, err := s.Head(s.ctx); head != 0 || err != nil {
		t.Fatalf("head of an empty log: %d, %v", head, err)
	}
	for i, step := range []struct {
		stream      event.StreamID
		n           int
		first, last event.Position
		version     event.Version
	}{
		{"a-1", 1, 1, 1, 1}, {"b-1", 3, 2, 4, 3}, {"a-1", 2, 5, 6, 3}, {"b-1", 1, 7, 7, 4},
	} {
		res := s.mustAppend(t, step.stream, store.Any(), evs(step.n)...)
		if res.First != step.first || res.Last != step.last || res.Version() != step.version || res.Duplicate || len(res.Versions) != 1 {
			t.Errorf("append %d: got %+v, want %+v", i+1, res, step)
		}
	}
	s.checkLog(t)
}

func checksExpectations(t *testing.T, s *subject) {
	for i, c := range []struct {
		there    int // events in the stream before
		expected store.Expected
		ok       bool
	}{
		{0, store.Any(), true},
		{2, store.Any(), true},
		{0, store.NoStream(), true},
		{2, store.NoStream(), false},
		{0, store.StreamExists(), false},
		{2, store.StreamExists(), true},
		{0, store.Exactly(0), true},
		{0, store.Exactly(1), false},
		{2, store.Exactly(2), true},
		{2, store.Exactly(1), false},
		{2, store.Exactly(3), false},
		{2, store.Exactly(0), false},
	} {
		for _, n := range []int{1, 3} {
			stream := event.StreamID(fmt.Sprintf("case-%d-%d", i, n))
			if c.there > 0 {
				s.mustAppend(t, stream, store.NoStream(), evs(c.there)...)
			}
			res, err := s.Append(s.ctx, stream, c.expected, evs(n)...)
			if !c.ok {
				wantConflict(t, err, stream, c.expected, event.Version(c.there))
			} else if err != nil || res.Version() != event.Version(c.there+n) {
				t.Errorf("%v on a stream of %d events: got version %d, %v", c.expected, c.there, res.Version(), err)
			}
		}
	}
	s.checkLog(t)
}

func commitsToSeveralStreams(t *testing.T, s *subject) {
	s.mustAppend(t, "b-1", store.NoStream(), evs(2)...)
	res, err := s.Commit(s.ctx, store.Commit{Appends: []store.Append{
		{Stream: "c-1", Expected: store.NoStream(), Events: evs(2)},
		{Stream: "b-1", Expected: store.Exactly(2), Events: evs(1)},
		{Stream: "a-1", Expected: store.Any(), Events: evs(3)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(res.Versions) != "[2 3 3]" || res.First != 3 || res.Last != 8 {
		t.Errorf("got %+v, want versions [2 3 3] at positions 3 to 8", res)
	}
	var order []string
	for _, e := range s.checkLog(t)[2:] {
		order = append(order, string(e.Stream))
	}
	if fmt.Sprint(order) != "[c-1 c-1 b-1 a-1 a-1 a-1]" {
		t.Errorf("the events of the commit came in the order %v", order)
	}
}

func refusesWholeCommits(t *testing.T, s *subject) {
	s.mustAppend(t, "b-1", store.NoStream(), evs(2)...)
	for _, stale := range []int{0, 1, 2} {
		appends := []store.Append{
			{Stream: "a-1", Expected: store.NoStream(), Events: evs(2)},
			{Stream: "b-1", Expected: store.Exactly(2), Events: evs(1)},
			{Stream: "c-1", Expected: store.Any(), Events: evs(1)},
		}
		appends[stale].Expected = store.Exactly(9)
		actual := [...]event.Version{0, 2, 0}[stale]
		_, err := s.Commit(s.ctx, store.Commit{Appends: appends})
		wantConflict(t, err, appends[stale].Stream, store.Exactly(9), actual)
	}
	if n := len(s.checkLog(t)); n != 2 {
		t.Errorf("the log has %d events, want the 2 from before", n)
	}
}

func refusesWholeBatches(t *testing.T, s *subject) {
	taken := ev("first")
	s.mustAppend(t, "a-1", store.NoStream(), taken)
	batch := append(evs(5), taken)
	if _, err := s.Append(s.ctx, "b-1", store.Any(), batch...); !errors.Is(err, store.ErrIDReused) {
		t.Errorf("got %v, want ErrIDReused", err)
	}
	s.mustAppend(t, "b-1", store.NoStream(), ev("second"))
	if n := len(s.checkLog(t)); n != 2 {
		t.Errorf("the log has %d events, want 2", n)
	}
}

func checksConditions(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.Any(), ev("x", "k:1", "k:2"), ev("y", "k:1"), ev("z")) // positions 1 to 3
	types := func(names ...string) store.QueryItem { return store.QueryItem{Types: names} }
	tags := func(names ...event.Tag) store.QueryItem { return store.QueryItem{Tags: names} }
	for i, c := range []struct {
		query   store.Query
		after   event.Position
		matched event.Position // 0: the append is accepted
	}{
		{store.Query{types("x")}, 0, 1},
		{store.Query{types("x")}, 1, 0},
		{store.Query{types("z")}, 2, 3},
		{store.Query{types("z")}, 3, 0},
		{store.Query{types("w")}, 0, 0},
		{store.Query{types("w", "y")}, 1, 2},
		{store.Query{tags("k:1")}, 1, 2},
		{store.Query{tags("k:1")}, 2, 0},
		{store.Query{tags("k:2")}, 0, 1},
		{store.Query{tags("k:2")}, 1, 0},
		{store.Query{tags("k:1", "k:2")}, 0, 1},
		{store.Query{tags("k:1", "k:2")}, 1, 0},
		{store.Query{{Types: []string{"y"}, Tags: []event.Tag{"k:2"}}}, 0, 0},
		{store.Query{{Types: []string{"y", "x"}, Tags: []event.Tag{"k:2"}}}, 0, 1},
		{store.Query{types("w"), tags("k:9"), tags("k:1")}, 1, 2},
		{store.Query{tags("k:1")}, 1000, 0},
	} {
		before, err := s.Head(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.AppendIf(s.ctx, event.StreamID(fmt.Sprintf("new-%d", i)), store.Condition{Query: c.query, After: c.after}, ev("new"))
		if c.matched == 0 {
			if err != nil {
				t.Errorf("case %d: %v", i+1, err)
			}
			continue
		}
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("case %d: got %v, want a conflict", i+1, err)
			continue
		}
		// Several events may match; the conflict names one of them.
		if conflict.Stream != "" || conflict.After != c.after || conflict.Matched <= c.after || conflict.Matched > 3 {
			t.Errorf("case %d: conflict %+v, want a match such as position %d", i+1, conflict, c.matched)
		}
		if head, err := s.Head(s.ctx); err != nil || head != before {
			t.Errorf("case %d: the refused append moved the head from %d to %d (%v)", i+1, before, head, err)
		}
	}
}

func checksBoth(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.Any(), ev("x", "k:1"))
	commit := func(expected store.Expected, after event.Position) error {
		_, err := s.Commit(s.ctx, store.Commit{
			Appends:   []store.Append{{Stream: "a-1", Expected: expected, Events: evs(1)}, {Stream: "b-1", Expected: store.NoStream(), Events: evs(1)}},
			Condition: &store.Condition{Query: store.Query{{Tags: []event.Tag{"k:1"}}}, After: after},
		})
		return err
	}
	if err := commit(store.Exactly(1), 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("condition broken, version right: got %v, want a conflict", err)
	}
	wantConflict(t, commit(store.Exactly(2), 1), "a-1", store.Exactly(2), 1)
	if err := commit(store.Exactly(1), 1); err != nil {
		t.Errorf("both hold: %v", err)
	}
	s.checkLog(t)
}

func isolatesFailures(t *testing.T, s *subject) {
	taken := ev("taken", "k:taken")
	s.mustAppend(t, "taken-1", store.NoStream(), taken)
	const writers, rounds = 48, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := event.StreamID(fmt.Sprintf("w-%d", w))
			for i := range rounds {
				var err, want error
				switch w % 6 {
				case 0:
					want = store.ErrConflict
					_, err = s.Append(s.ctx, "taken-1", store.NoStream(), ev("late"))
				case 1:
					want = store.ErrIDReused
					_, err = s.Append(s.ctx, stream, store.Any(), ev("fine"), taken)
				case 2:
					want = store.ErrConflict
					_, err = s.AppendIf(s.ctx, stream, store.Condition{Query: store.Query{{Tags: taken.Tags}}}, ev("late"))
				default:
					_, err = s.Append(s.ctx, stream, store.Exactly(event.Version(i)), ev("fine"))
				}
				if !errors.Is(err, want) {
					t.Errorf("writer %d, append %d: got %v, want %v", w, i, err, want)
				}
			}
		})
	}
	wg.Wait()
	if got, want := len(s.checkLog(t)), 1+writers/2*rounds; got != want {
		t.Errorf("the log has %d events, want %d", got, want)
	}
}

func storesLargeEvents(t *testing.T, s *subject) {
	limits := s.Limits()
	big := ev("big")
	big.Data = make([]byte, limits.MaxEventBytes-2) // and "{}" as metadata
	for i := range big.Data {
		big.Data[i] = byte(i * 7)
	}
	s.mustAppend(t, "big-1", store.NoStream(), big)
	full := evs(limits.MaxCommitEvents)
	s.mustAppend(t, "full-1", store.NoStream(), full...)
	log := s.checkLog(t)
	if diff := sameEvent(big, log[0]); diff != "" {
		t.Error(diff[:min(len(diff), 200)])
	}
	if len(log) != 1+len(full) {
		t.Errorf("the log has %d events, want %d", len(log), 1+len(full))
	}
}
