package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func orderClauses() []clause {
	return []clause{
		{rule: "never shows a new event behind one that a reader has seen", prove: keepsThePrefixStable},
		{
			rule:  "lets no reader pass a writer that stands in mid-commit",
			needs: func(h Harness, _ store.Backend) bool { return h.Pause != nil },
			prove: holdsReadersBehindAPausedWriter,
		},
		{rule: "wakes followers up when the log grows", needs: offers[store.Waker], prove: wakesFollowers},
	}
}

// keepsThePrefixStable: readers follow the log as eagerly as they can, each asking only for what comes after the last
// position it saw, while 16 writers append through two handles. A reader that misses an event was passed by it.
func keepsThePrefixStable(t *testing.T, s *subject) {
	const writers, each, readers = 16, 60, 3
	handles := []*store.Store{s.Store, s.another(t)}
	total := 0
	for i := range each {
		total += writers * (1 + i%3)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := event.StreamID(fmt.Sprintf("w-%d", w))
			for i := range each {
				// Conflicts in between: a rolled back commit must not leave a hole.
				if i%10 == 9 {
					_, _ = s.Append(s.ctx, stream, store.NoStream(), ev("refused"))
				}
				if _, err := handles[w%2].Append(s.ctx, stream, store.Any(), evs(1+i%3)...); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	for r := range readers {
		wg.Go(func() {
			next := event.Position(1)
			for int(next) <= total {
				for e, err := range handles[r%2].ReadLog(ctx, store.LogRead{From: next}) {
					if err != nil {
						t.Errorf("reader %d: %v", r, err)
						return
					}
					if e.Position != next {
						t.Errorf("reader %d saw position %d, then %d: an event became visible late, or a position was skipped", r, next-1, e.Position)
						return
					}
					next++
				}
			}
		})
	}
	wg.Wait()
	if got := len(s.checkLog(t)); got != total {
		t.Errorf("the log has %d events, want %d", got, total)
	}
}

func holdsReadersBehindAPausedWriter(t *testing.T, s *subject) {
	other := s.another(t)
	s.mustAppend(t, "before-1", store.NoStream(), evs(3)...)
	reached, resume := s.harness.Pause(t, s.Backend())
	paused, free := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Append(s.ctx, "paused-1", store.NoStream(), ev("paused"))
		paused <- err
	}()
	within(t, "the pause in mid-commit", reached)
	go func() {
		_, err := other.Append(s.ctx, "free-1", store.NoStream(), ev("free"))
		free <- err
	}()
	// The free writer may wait for the paused one or may go ahead; give it the chance to go ahead wrongly.
	freeErr, freeDone := error(nil), false
	select {
	case freeErr = <-free:
		freeDone = true
	case <-time.After(200 * time.Millisecond):
	}
	seen := map[event.Position]event.ID{}
	read := func(when string) {
		ctx, cancel := context.WithTimeout(s.ctx, patience)
		defer cancel()
		next := event.Position(1)
		for e, err := range other.ReadLog(ctx, store.LogRead{}) {
			if err != nil {
				t.Fatalf("reading %s: %v", when, err)
			}
			if e.Position != next {
				t.Fatalf("%s a reader sees position %d after %d: it has passed a writer", when, e.Position, next-1)
			}
			if id, known := seen[e.Position]; known && id != e.ID {
				t.Fatalf("%s position %d holds another event than before", when, e.Position)
			}
			seen[e.Position] = e.ID
			next++
		}
	}
	read("while a writer stands in mid-commit,")
	if len(seen) < 3 {
		t.Fatalf("a reader sees %d of the 3 events that were committed before", len(seen))
	}
	resume()
	if err := <-paused; err != nil {
		t.Errorf("the paused append: %v", err)
	}
	if !freeDone {
		freeErr = <-free
	}
	if freeErr != nil {
		t.Errorf("the free append: %v", freeErr)
	}
	read("after the pause,")
	if len(seen) != 5 {
		t.Errorf("a reader saw %d events in all, want 5", len(seen))
	}
	s.checkLog(t)
}

func wakesFollowers(t *testing.T, s *subject) {
	ctx, cancel := context.WithCancel(s.ctx)
	other := s.another(t)
	wakers := map[string]<-chan struct{}{}
	for name, st := range map[string]*store.Store{"of this handle": s.Store, "of another handle": other} {
		ch, err := st.Backend().(store.Waker).Wake(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wakers[name] = ch
	}
	for i := range 3 {
		s.mustAppend(t, "a-1", store.Any(), evs(1+i)...)
		for name, ch := range wakers {
			within(t, fmt.Sprintf("wake-up %d %s", i+1, name), ch)
		}
	}
	cancel()
	for name, ch := range wakers {
		eventually(t, "closing of the channel "+name, func() bool {
			select {
			case _, open := <-ch:
				return !open
			default:
				return false
			}
		})
	}
	if _, err := s.Backend().(store.Waker).Wake(ctx); err == nil {
		t.Error("a follower whose context has ended was accepted")
	}
}
