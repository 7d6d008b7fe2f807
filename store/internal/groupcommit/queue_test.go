package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func commitTo(stream event.StreamID, expected store.Expected, types ...string) store.Commit {
	events := make([]event.Pending, len(types))
	for i, t := range types {
		events[i] = event.Pending{ID: event.NewID(), Type: t, Data: []byte("{}")}
	}
	return store.Commit{Appends: []store.Append{{Stream: stream, Expected: expected, Events: events}}}
}

// submit queues a commit on a goroutine of its own and returns where its answer arrives.
func submit(ctx context.Context, q *Queue, c store.Commit) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := q.Submit(ctx, c)
		done <- err
	}()
	synctest.Wait()
	return done
}

func TestConcurrentSubmitsShareBatchesAndEachGetsItsOwnAnswer(t *testing.T) {
	q := New(Options{Depth: 2})
	conflict := errors.New("conflict")
	var batches int
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			b, ok := q.Next()
			if !ok {
				return
			}
			batches++
			for _, r := range b.Requests {
				if r.Commit.Appends[0].Events[0].Type == "odd" {
					r.Fail(conflict)
				} else {
					r.Resolve(store.Result{Versions: []event.Version{7}})
				}
			}
			q.Finish(b)
		}
	}()
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for range 100 {
				name := [...]string{"even", "odd"}[w%2]
				res, err := q.Submit(t.Context(), commitTo(event.StreamID(fmt.Sprintf("s-%d", w)), store.Any(), name))
				if (name == "odd") != errors.Is(err, conflict) || name == "even" && res.Version() != 7 {
					t.Errorf("writer %d: got %v, %v", w, res, err)
				}
			}
		})
	}
	wg.Wait()
	q.Close()
	<-served
	if batches >= 6400 {
		t.Errorf("6400 requests took %d batches: they did not share any", batches)
	}
}

func TestDependentRequestsWaitForALaterBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Independent: true})
		forbidden := commitTo("c-1", store.Any(), "y")
		forbidden.Condition = &store.Condition{Query: store.Query{{Types: []string{"x"}}}}
		waits := []<-chan error{
			submit(t.Context(), q, commitTo("a-1", store.NoStream(), "x")),
			submit(t.Context(), q, commitTo("a-1", store.Exactly(1), "z")), // shares a-1
			submit(t.Context(), q, commitTo("a-1", store.Any(), "z")),      // must stay behind the one before it
			submit(t.Context(), q, commitTo("b-1", store.NoStream(), "z")), // free
			submit(t.Context(), q, commitTo("b-1", store.Any(), "z")),      // may follow
			submit(t.Context(), q, forbidden),                              // its condition sees the first one's x
		}
		for i, want := range [][]int{{0, 3, 4}, {1, 2, 5}} {
			b, ok := q.Next()
			if !ok || len(b.Requests) != len(want) {
				t.Fatalf("batch %d: got %d requests, want %v", i+1, len(b.Requests), want)
			}
			for _, r := range b.Requests {
				r.Resolve(store.Result{})
			}
			q.Finish(b)
			for _, w := range want {
				if err := <-waits[w]; err != nil {
					t.Errorf("request %d: %v", w, err)
				}
			}
		}
		q.Close()
	})
}

func TestUnansweredRequestsGoBackToTheHeadOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		first := submit(t.Context(), q, commitTo("a-1", store.Any(), "first"))
		b, _ := q.Next()
		second := submit(t.Context(), q, commitTo("b-1", store.Any(), "second"))
		b.Requests[0].Versions = []event.Version{4}
		q.Finish(b)
		b, _ = q.Next()
		if len(b.Requests) != 2 || b.Requests[0].Commit.Appends[0].Stream != "a-1" || b.Requests[0].Versions[0] != 4 {
			t.Fatalf("the unanswered request is not at the head with its note: %+v", b.Requests)
		}
		for _, r := range b.Requests {
			r.Resolve(store.Result{})
		}
		q.Finish(b)
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		q.Close()
	})
}

func TestACancelledCallerLeavesOnlyWhenItsMemoryIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		ctx, cancel := context.WithCancel(t.Context())

		queuedOnly := submit(ctx, q, commitTo("a-1", store.Any(), "x"))
		cancel()
		if err := <-queuedOnly; !errors.Is(err, context.Canceled) {
			t.Errorf("a queued request was not withdrawn: %v", err)
		}

		ctx, cancel = context.WithCancel(t.Context())
		inBatch := submit(ctx, q, commitTo("b-1", store.Any(), "x"))
		b, _ := q.Next()
		if len(b.Requests) != 1 || b.Requests[0].Commit.Appends[0].Stream != "b-1" {
			t.Fatalf("the withdrawn request is still in a batch: %d requests", len(b.Requests))
		}
		cancel()
		synctest.Wait()
		select {
		case err := <-inBatch:
			t.Fatalf("the caller left while its commit may be read: %v", err)
		default:
		}
		b.Release()
		if err := <-inBatch; !errors.Is(err, context.Canceled) {
			t.Errorf("after Release: got %v, want the context's error", err)
		}
		b.Hold()
		if len(b.Requests) != 0 {
			t.Error("Hold gave back a request whose caller has left")
		}
		q.Finish(b)
		q.Close()
		if _, ok := q.Next(); ok {
			t.Error("an abandoned request came back")
		}
	})
}

func TestAnAnswerBeatsACancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		ctx, cancel := context.WithCancel(t.Context())
		waiting := submit(ctx, q, commitTo("a-1", store.Any(), "x"))
		b, _ := q.Next()
		cancel()
		synctest.Wait()
		b.Requests[0].Resolve(store.Result{})
		q.Finish(b)
		if err := <-waiting; err != nil {
			t.Errorf("the append was stored, but its caller got %v", err)
		}
		q.Close()
	})
}

func TestCloseDrainsAndThenRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		waiting := submit(t.Context(), q, commitTo("a-1", store.Any(), "x"))
		q.Close()
		b, ok := q.Next()
		if !ok {
			t.Fatal("closing lost a queued request")
		}
		b.Requests[0].Resolve(store.Result{})
		q.Finish(b)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		if _, ok := q.Next(); ok {
			t.Error("Next gave a batch after the queue was drained")
		}
		if _, err := q.Submit(t.Context(), commitTo("a-1", store.Any(), "x")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Submit after Close: got %v, want ErrClosed", err)
		}
	})
}

func TestASecondBatchGoesOutOnlyWhenItIsWorthItsCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Depth: 2, LingerRequests: 3})
		waits := []<-chan error{submit(t.Context(), q, commitTo("a-1", store.Any(), "x"))}
		first, _ := q.Next()
		batches := make(chan *Batch, 1)
		go func() {
			b, _ := q.Next()
			batches <- b
		}()
		waits = append(waits, submit(t.Context(), q, commitTo("b-1", store.Any(), "x")))
		select {
		case <-batches:
			t.Fatal("a batch of one event went out while another was in flight")
		default:
		}
		waits = append(waits, submit(t.Context(), q, commitTo("c-1", store.Any(), "x", "y")))
		second := <-batches // three events
		for _, b := range []*Batch{first, second} {
			for _, r := range b.Requests {
				r.Resolve(store.Result{})
			}
			q.Finish(b)
		}
		for _, w := range waits {
			if err := <-w; err != nil {
				t.Error(err)
			}
		}
		q.Close()
	})
}
