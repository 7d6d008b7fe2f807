package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// raceRounds and racers: in each round so many writers want the same thing, and one may have it.
const (
	raceRounds = 200
	racers     = 8
)

func raceClauses() []clause {
	return []clause{
		{rule: "lets exactly one of many racing writers win an expected version", prove: func(t *testing.T, s *subject) {
			s.race(t, func(st *store.Store, round int, e event.Pending) error {
				_, err := st.Append(s.ctx, "race-1", store.Exactly(event.Version(round)), e)
				return err
			})
		}},
		{rule: "lets exactly one of many racing writers begin a stream", prove: func(t *testing.T, s *subject) {
			s.race(t, func(st *store.Store, round int, e event.Pending) error {
				_, err := st.Append(s.ctx, event.StreamID(fmt.Sprintf("race-%d", round)), store.NoStream(), e)
				return err
			})
		}},
		{rule: "lets exactly one of many racing writers win a condition on a tag", prove: func(t *testing.T, s *subject) {
			s.raceOnCondition(t, store.QueryItem{Tags: []event.Tag{"seat:1"}})
		}},
		{rule: "lets exactly one of many racing writers win a condition on a type", prove: func(t *testing.T, s *subject) {
			s.raceOnCondition(t, store.QueryItem{Types: []string{"seat.taken"}})
		}},
		{rule: "lets exactly one of many racing commits to overlapping streams win", prove: func(t *testing.T, s *subject) {
			s.race(t, func(st *store.Store, round int, e event.Pending) error {
				second := ev("seat.second")
				appends := []store.Append{
					{Stream: "shared-1", Expected: store.Exactly(event.Version(round)), Events: []event.Pending{e}},
					{Stream: event.StreamID("own-" + e.ID.String()), Expected: store.NoStream(), Events: []event.Pending{second}},
				}
				if e.ID[15]%2 == 0 { // opposite orders must not lock each other out
					appends[0], appends[1] = appends[1], appends[0]
				}
				_, err := st.Commit(s.ctx, store.Commit{Appends: appends})
				return err
			})
		}},
		{rule: "appends all of many racing appends that expect any version", prove: racesOnAny},
	}
}

// race runs the rounds, on two handles, and checks that each has one winner and that the losers got a conflict.
func (s *subject) race(t *testing.T, attempt func(st *store.Store, round int, e event.Pending) error) {
	handles := []*store.Store{s.Store, s.another(t)}
	for round := range raceRounds {
		results := make(chan error, racers)
		start := make(chan struct{})
		for w := range racers {
			go func() {
				<-start
				results <- attempt(handles[w%2], round, ev("seat.taken", "seat:1"))
			}()
		}
		close(start)
		winners := 0
		for range racers {
			switch err := <-results; {
			case err == nil:
				winners++
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("round %d: a loser got %v, want a conflict", round, err)
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d writers won", round, winners)
		}
	}
	taken := 0
	for _, e := range s.checkLog(t) {
		if e.Type == "seat.taken" {
			taken++
		}
	}
	if taken != raceRounds {
		t.Errorf("the log has %d winning events, want %d", taken, raceRounds)
	}
}

func (s *subject) raceOnCondition(t *testing.T, item store.QueryItem) {
	after := event.Position(0)
	current := -1
	var mu sync.Mutex
	s.race(t, func(st *store.Store, round int, e event.Pending) error {
		mu.Lock()
		if round != current { // every round decides on the log as it stands before the round
			head, err := s.Head(s.ctx)
			if err != nil {
				mu.Unlock()
				return err
			}
			after, current = head, round
		}
		condition := store.Condition{Query: store.Query{item}, After: after}
		mu.Unlock()
		_, err := st.AppendIf(s.ctx, event.StreamID("own-"+e.ID.String()), condition, e)
		return err
	})
}

func racesOnAny(t *testing.T, s *subject) {
	handles := []*store.Store{s.Store, s.another(t)}
	const writers, each = 16, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				res, err := handles[w%2].Append(s.ctx, "hot-1", store.Any(), evs(1+i%3)...)
				if err != nil || int(res.Last-res.First) != i%3 {
					t.Errorf("writer %d: got %+v, %v", w, res, err)
				}
			}
		})
	}
	wg.Wait()
	want := 0
	for i := range each {
		want += writers * (1 + i%3)
	}
	if got := len(s.checkLog(t)); got != want {
		t.Errorf("the log has %d events, want %d", got, want)
	}
}
