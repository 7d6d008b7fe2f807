package groupcommit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// appendTo queues a commit of one event to a stream of the given name.
func appendTo(t *testing.T, q *Queue, stream event.StreamID) <-chan error {
	return submit(t.Context(), q, commitTo(stream, store.Any(), "x"))
}

// pass lets time go by in a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }

func TestRequestsJoinABatchThatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{LingerRequests: 1})
		answers := []<-chan error{appendTo(t, q, "s-1")}
		b, _ := q.Next()
		answers = append(answers, appendTo(t, q, "s-2"), appendTo(t, q, "s-3"))
		added := q.Extend(b, 64)
		if len(added) != 2 || added[0].Commit.Appends[0].Stream != "s-2" || len(b.Requests) != 3 || b.Events != 3 {
			t.Fatalf("extended by %d to %d requests with %d events, want by 2 to 3 with 3", len(added), len(b.Requests), b.Events)
		}
		if added := q.Extend(b, 64); len(added) != 0 {
			t.Fatalf("extended by %d requests, where nobody else has come before", len(added))
		}
		for _, r := range b.Requests {
			r.Resolve(store.Result{})
		}
		q.Finish(b)
		for i, answer := range answers {
			if err := <-answer; err != nil {
				t.Errorf("request %d: %v", i+1, err)
			}
		}
	})
}

func TestAnExtendedBatchWaitsForThoseThatUsuallyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{LingerRequests: 1})
		serve := func(took time.Duration) (requests int) {
			b, ok := q.Next()
			if !ok {
				return 0
			}
			pass(took)
			for len(q.Extend(b, 64)) > 0 {
			}
			for _, r := range b.Requests {
				r.Resolve(store.Result{})
			}
			requests = len(b.Requests)
			q.Finish(b)
			return requests
		}
		appendTo(t, q, "s-1")
		appendTo(t, q, "s-2")
		if n := serve(800 * time.Microsecond); n != 2 {
			t.Fatalf("the first batch had %d requests, want 2", n)
		}

		appendTo(t, q, "s-1")
		go func() {
			pass(50 * time.Microsecond)
			_, _ = q.Submit(t.Context(), commitTo("s-2", store.Any(), "x"))
		}()
		if n := serve(0); n != 2 {
			t.Errorf("a batch had %d requests, want the 2 that usually come", n)
		}

		pass(time.Second)
		began := time.Now()
		appendTo(t, q, "s-1")
		if n := serve(800 * time.Microsecond); n != 1 {
			t.Errorf("a batch had %d requests, want 1", n)
		}
		if waited := time.Since(began) - 800*time.Microsecond; waited > 300*time.Microsecond {
			t.Errorf("a batch waited %v for a request that did not come", waited)
		}
		appendTo(t, q, "s-1")
		began = time.Now()
		serve(0)
		if waited := time.Since(began); waited > 0 {
			t.Errorf("a batch waited %v for one that has stayed away before", waited)
		}
	})
}

func TestABatchThatIsFullIsNotExtended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{LingerRequests: 1, MaxRequests: 2})
		appendTo(t, q, "s-1")
		b, _ := q.Next()
		appendTo(t, q, "s-2")
		last := appendTo(t, q, "s-3")
		if added := q.Extend(b, 64); len(added) != 2 {
			t.Fatalf("extended by %d requests, want 2", len(added))
		}
		waiting := appendTo(t, q, "s-4")
		if added := q.Extend(b, 64); len(added) != 0 {
			t.Fatalf("a full batch was extended by %d requests", len(added))
		}
		for _, r := range b.Requests {
			r.Fail(errors.New("refused"))
		}
		q.Finish(b)
		if err := <-last; err == nil {
			t.Error("an added request lost its error")
		}
		if b, _ = q.Next(); len(b.Requests) != 1 {
			t.Fatalf("the next batch has %d requests, want 1", len(b.Requests))
		}
		b.Requests[0].Resolve(store.Result{})
		q.Finish(b)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	})
}

func TestAnAddedRequestIsTakenBackWhenTheBatchIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{LingerRequests: 1})
		appendTo(t, q, "s-1")
		b, _ := q.Next()
		ctx, cancel := context.WithCancel(t.Context())
		left := submit(ctx, q, commitTo("s-2", store.Any(), "x"))
		q.Extend(b, 64)
		q.Finish(b)
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
		if b, _ = q.Next(); len(b.Requests) != 1 {
			t.Fatalf("the next batch has %d requests, want the one whose caller still waits", len(b.Requests))
		}
		b.Requests[0].Resolve(store.Result{})
		q.Finish(b)
	})
}
