package groupcommit

import (
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/store"
)

// serveOne answers the next batch and gives its size.
func serveOne(q *Queue) int {
	b, ok := q.Next()
	if !ok {
		return 0
	}
	for _, r := range b.Requests {
		r.Resolve(store.Result{})
	}
	n := len(b.Requests)
	q.Finish(b)
	return n
}

func TestACallerIsAloneOnlyWhereNobodyElseAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		if !q.TryAlone() {
			t.Fatal("an idle queue refuses a caller the turn")
		}
		if q.TryAlone() {
			t.Error("two callers are alone at once")
		}
		q.EndAlone(time.Now())

		answer := appendTo(t, q, "s-1")
		if q.TryAlone() {
			t.Error("a caller is alone beside a queued request")
		}
		b, _ := q.Next()
		if q.TryAlone() {
			t.Error("a caller is alone beside a batch in flight")
		}
		b.Requests[0].Resolve(store.Result{})
		q.Finish(b)
		<-answer
		if !q.TryAlone() {
			t.Error("after a batch of one request the turn is refused")
		}
		q.EndAlone(time.Now())
		q.Close()
		if q.TryAlone() {
			t.Error("a closed queue gives the turn")
		}
	})
}

func TestThoseWhoAppendAtOnceShareBatchesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		began := time.Now()
		q.TryAlone()
		second := appendTo(t, q, "s-2") // while the first is alone
		pass(time.Millisecond)
		q.EndAlone(began)
		if q.TryAlone() {
			t.Error("a caller is alone beside a second one")
		}
		first := appendTo(t, q, "s-1")
		if n := serveOne(q); n != 2 {
			t.Errorf("the batch has %d requests, want both", n)
		}
		<-first
		<-second
		q.Close()
	})
}

func TestAClosedQueueWaitsForTheCallerWhoIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		q.TryAlone()
		ended := make(chan struct{})
		go func() {
			q.Next()
			close(ended)
		}()
		q.Close()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the queue ended while a caller had the turn")
		default:
		}
		q.EndAlone(time.Now())
		<-ended
	})
}
