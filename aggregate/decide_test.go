package aggregate_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// taken says that somebody has a name, which must be unique over all streams.
type taken struct{ Name string }

func (e taken) EventTags() []event.Tag { return []event.Tag{event.Tag("name:" + e.Name)} }

var errTaken = errors.New("the name is taken")

// take is the decision to take a name for a user's stream, if fewer than limit have it.
func take(name, user string, limit int) aggregate.Decision[int] {
	return aggregate.Decision[int]{
		Query: store.Query{{Types: []string{"name.taken"}, Tags: []event.Tag{event.Tag("name:" + name)}}},
		Fold:  aggregate.Fold[int]{Evolve: func(n int, _ any) (int, error) { return n + 1, nil }},
		Decide: func(n int) ([]any, error) {
			if n >= limit {
				return nil, errTaken
			}
			return []any{taken{name}}, nil
		},
		Stream: event.StreamID("user-" + user),
	}
}

func newNames(t *testing.T) *bank {
	b := newBank(t)
	must(t, schema.Register[taken](b.registry, "name.taken", schema.Options{}))
	return b
}

func TestADecisionSpansStreams(t *testing.T) {
	b := newNames(t)
	res, err := aggregate.Decide(t.Context(), b.store, b.registry, take("ada", "1", 1))
	if err != nil || res.First != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	_, err = aggregate.Decide(t.Context(), b.store, b.registry, take("ada", "2", 1))
	wantError(t, err, errTaken)
	_, err = aggregate.Decide(t.Context(), b.store, b.registry, take("bob", "2", 1))
	must(t, err)
}

func TestOnlyAsManyAsAllowedWinARace(t *testing.T) {
	for range 20 {
		b := newNames(t)
		var won, lost atomic.Int64
		var racers sync.WaitGroup
		for i := range 24 {
			racers.Go(func() {
				d := take("ada", string(rune('a'+i)), 5)
				d.Retry.Attempts = 1000
				switch _, err := aggregate.Decide(t.Context(), b.store, b.registry, d); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, errTaken):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		racers.Wait()
		if won.Load() != 5 || lost.Load() != 19 {
			t.Fatalf("%d won, %d lost", won.Load(), lost.Load())
		}
	}
}

func TestADecisionStartsOverWhenItsQueryChangesAndOnlyThen(t *testing.T) {
	b := newNames(t)
	_, err := aggregate.Decide(t.Context(), b.store, b.registry, take("ada", "0", 9))
	must(t, err)
	for other, wantCalls := range map[string]int{"ada": 2, "bob": 1} {
		var seen []int
		d := take("ada", "1", 9)
		decide := d.Decide
		d.Decide = func(n int) ([]any, error) {
			if seen = append(seen, n); len(seen) == 1 {
				_, err := aggregate.Decide(t.Context(), b.store, b.registry, take(other, "2", 9))
				must(t, err)
			}
			return decide(n)
		}
		b.commits = nil
		_, err := aggregate.Decide(t.Context(), b.store, b.registry, d)
		must(t, err)
		if len(seen) != wantCalls || len(seen) == 2 && seen[1] != seen[0]+1 {
			t.Errorf("%s: decided on %v", other, seen)
		}
		if wantCalls == 2 && b.commits[1].Appends[0].Events[0].ID == b.commits[2].Appends[0].Events[0].ID {
			t.Error("the second decision has the ids of the first")
		}
	}
}

func TestADecisionThatMovesItsStateStartsOverFromACleanOne(t *testing.T) {
	b := newNames(t)
	calls := 0
	d := aggregate.Decision[map[string]int]{
		Query: take("ada", "", 0).Query,
		Fold: aggregate.Fold[map[string]int]{
			Initial: func() map[string]int { return map[string]int{} },
			Evolve:  func(m map[string]int, e any) (map[string]int, error) { m[e.(taken).Name]++; return m, nil },
		},
		Decide: func(m map[string]int) ([]any, error) {
			if calls++; calls == 1 {
				_, err := aggregate.Decide(t.Context(), b.store, b.registry, take("ada", "2", 9))
				must(t, err)
			} else if m["ada"] != 1 {
				t.Errorf("the state is %v", m)
			}
			m["ada"] += 100
			return []any{taken{"ada"}}, nil
		},
		Stream: "user-1",
	}
	_, err := aggregate.Decide(t.Context(), b.store, b.registry, d)
	must(t, err)
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

func TestADecisionGivesUpAfterItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newNames(t)
		d := take("ada", "1", 1000)
		d.Retry.Attempts = 3
		decide, calls := d.Decide, 0
		d.Decide = func(n int) ([]any, error) {
			calls++
			_, err := aggregate.Decide(t.Context(), b.store, b.registry, take("ada", "2", 1000))
			must(t, err)
			return decide(n)
		}
		_, err := aggregate.Decide(t.Context(), b.store, b.registry, d)
		wantError(t, err, store.ErrConflict, "gave up after 3 attempts", "user-1")
		if calls != 3 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestAnIncompleteDecisionIsAnError(t *testing.T) {
	b := newNames(t)
	_, err := aggregate.Decide(t.Context(), b.store, b.registry, aggregate.Decision[int]{Stream: "user-1", Retry: aggregate.Retry{Wait: -1}})
	wantError(t, err, store.ErrInvalid, "user-1", "query has no items", "functions", "wait")
}

func TestADecisionOnAnEventThatIsNotRegisteredIsAnError(t *testing.T) {
	b := newNames(t)
	_, err := b.store.Append(t.Context(), "user-1", store.Any(), event.Pending{Type: "name.taken", SchemaVersion: 2, Data: []byte("{}"), Tags: []event.Tag{"name:ada"}})
	must(t, err)
	_, err = aggregate.Decide(t.Context(), b.store, b.registry, take("ada", "2", 1))
	wantError(t, err, schema.ErrVersion, "name.taken", "position 1")
}
