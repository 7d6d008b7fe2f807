package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func lifecycleClauses() []clause {
	return []clause{
		{rule: "describes itself", prove: describes},
		{rule: "refuses every call after it was closed, and may be closed again", prove: refusesAfterClose},
		{rule: "has stored what it acknowledged when it is closed under load", prove: closesUnderLoad},
		{rule: "stores nothing for a context that has ended", prove: refusesEndedContexts},
		{rule: "stores an append whole or not at all when it is cancelled in the middle", prove: cancelsAppends},
	}
}

// drain reads a sequence to its end and returns its error.
func drain[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

func describes(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), evs(2)...)
	d, err := s.Describe(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d.Backend == "" || d.Version == "" || d.Location == "" || d.Durability == "" || d.Head != 2 {
		t.Errorf("the description lacks something: %+v", d)
	}
	if strings.Contains(d.Location, "password") || strings.Contains(d.Location, "@") {
		t.Errorf("the location may hold a secret: %s", d.Location)
	}
}

func refusesAfterClose(t *testing.T, s *subject) {
	s.mustAppend(t, "a-1", store.NoStream(), ev("x"))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	calls := map[string]func() error{
		"Append":     func() error { _, err := s.Append(s.ctx, "a-1", store.Any(), ev("x")); return err },
		"ReadStream": func() error { return drain(s.ReadStream(s.ctx, store.StreamRead{Stream: "a-1"})) },
		"ReadLog":    func() error { return drain(s.ReadLog(s.ctx, store.LogRead{})) },
		"Head":       func() error { _, err := s.Head(s.ctx); return err },
		"StreamInfo": func() error { _, err := s.StreamInfo(s.ctx, "a-1"); return err },
		"Streams":    func() error { return drain(s.Streams(s.ctx, store.StreamsRead{})) },
		"Describe":   func() error { _, err := s.Describe(s.ctx); return err },
		"Get":        func() error { _, err := s.Get(s.ctx, "b", "k"); return err },
		"Apply":      func() error { _, err := s.Apply(s.ctx, store.Put("b", "k", nil)); return err },
		"Scan":       func() error { return drain(s.Scan(s.ctx, store.Scan{Bucket: "b"})) },
	}
	b := s.Backend()
	if w, ok := b.(store.Waker); ok {
		calls["Wake"] = func() error { _, err := w.Wake(s.ctx); return err }
	}
	if _, ok := b.(store.Truncator); ok {
		calls["Truncate"] = func() error { _, err := s.Truncate(s.ctx, "a-1", 1); return err }
		calls["Delete"] = func() error { _, err := s.Delete(s.ctx, "a-1", store.Any()); return err }
	}
	if _, ok := b.(store.Transactor); ok {
		calls["Transact"] = func() error { return s.Transact(s.ctx, func(context.Context) error { return nil }) }
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: got %v, want ErrClosed", name, err)
		}
	}
}

func closesUnderLoad(t *testing.T, s *subject) {
	verifier := s.another(t)
	if verifier.Backend() == s.Backend() {
		t.Skip("the backend has one handle only: nothing is left to look at once it is closed")
	}
	const writers = 16
	acknowledged := make([]event.Version, writers)
	var started, wg sync.WaitGroup
	started.Add(writers)
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				res, err := s.Append(s.ctx, event.StreamID(fmt.Sprintf("w-%d", w)), store.Exactly(acknowledged[w]), evs(2)...)
				if i == 0 {
					started.Done()
				}
				if err != nil {
					if !errors.Is(err, store.ErrClosed) {
						t.Errorf("writer %d: got %v, want ErrClosed", w, err)
					}
					return
				}
				acknowledged[w] = res.Version()
			}
		})
	}
	started.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("close under load: %v", err)
	}
	wg.Wait()
	still := &subject{Store: verifier, harness: s.harness, open: s.open, ctx: s.ctx}
	stored := map[event.StreamID]event.Version{}
	for _, e := range still.checkLog(t) {
		stored[e.Stream] = e.Version
	}
	for w, want := range acknowledged {
		if got := stored[event.StreamID(fmt.Sprintf("w-%d", w))]; got != want {
			t.Errorf("writer %d: version %d was acknowledged, %d is stored", w, want, got)
		}
	}
}

func refusesEndedContexts(t *testing.T, s *subject) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	late, stop := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
	defer stop()
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{ctx, context.Canceled}, {late, context.DeadlineExceeded}} {
		if _, err := s.Append(c.ctx, "a-1", store.Any(), ev("x")); !errors.Is(err, c.want) {
			t.Errorf("Append: got %v, want %v", err, c.want)
		}
		if _, err := s.Apply(c.ctx, store.Put("b", "k", nil)); !errors.Is(err, c.want) {
			t.Errorf("Apply: got %v, want %v", err, c.want)
		}
		if _, err := s.Get(c.ctx, "b", "k"); !errors.Is(err, c.want) {
			t.Errorf("Get: got %v, want %v", err, c.want)
		}
	}
	if n := len(s.checkLog(t)); n != 0 {
		t.Errorf("%d events were stored", n)
	}
}

// cancelsAppends cancels appends at random moments under load. What was acknowledged is stored; what was not is stored
// whole or not at all, and a retry with the same ids tells which.
func cancelsAppends(t *testing.T, s *subject) {
	const writers, each = 16, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w))) //nolint:gosec // not a secret
			stream := event.StreamID(fmt.Sprintf("w-%d", w))
			for i := range each {
				events := evs(3)
				ctx, cancel := context.WithTimeout(s.ctx, time.Duration(random.IntN(3000))*time.Microsecond)
				first, err := s.Append(ctx, stream, store.Any(), events...)
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("writer %d: a cancelled append gave %v", w, err)
				}
				again, retryErr := s.Append(s.ctx, stream, store.Any(), events...)
				if retryErr != nil || again.Version() != event.Version(3*(i+1)) {
					t.Errorf("writer %d, append %d: the retry gave %+v, %v", w, i, again, retryErr)
					return
				}
				if err == nil && (!again.Duplicate || again.First != first.First) {
					t.Errorf("writer %d, append %d: acknowledged at %d, but the retry gave %+v", w, i, first.First, again)
				}
			}
		})
	}
	wg.Wait()
	if got, want := len(s.checkLog(t)), writers*each*3; got != want {
		t.Errorf("the log has %d events, want %d", got, want)
	}
}
