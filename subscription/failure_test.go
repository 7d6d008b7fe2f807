package subscription_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

var errPoison = errors.New("poison")

// poisoned fails at events of the type "bad".
func poisoned(e event.Recorded) error {
	if e.Type == "bad" {
		return errPoison
	}
	return nil
}

// quiet are the default options, for tests in which time is not real.
func quiet(t *testing.T) subscription.Options {
	return subscription.Options{OnError: func(err error) { t.Log(err) }}
}

func TestTheCheckpointDoesNotPassAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		appendTo(t, s, "a-1", "good", "bad", "good")
		j := journal{fail: poisoned}
		o := quiet(t)
		o.Retry.Attempts = 3
		begun := time.Now()
		sub := start(t, newSubscription(t, s, "stops", subscription.Handler(j.Handle), o))
		err := sub.wait()
		var fault *subscription.FaultError
		if !errors.Is(err, subscription.ErrFaulted) || !errors.Is(err, errPoison) || !errors.As(err, &fault) {
			t.Fatalf("Run returned %v", err)
		}
		fault.Cause = nil
		if want := (subscription.FaultError{Name: "stops", Position: 2, Stream: "a-1", Type: "bad", Attempts: 3}); *fault != want {
			t.Errorf("got %+v, want %+v", *fault, want)
		}
		if took := time.Since(begun); took < 240*time.Millisecond || took > 360*time.Millisecond {
			t.Errorf("three attempts took %v, want pauses of 100 and 200 ms, give or take a fifth", took)
		}
		st := status(t, s, "stops")
		if st.Position != 1 || st.State != subscription.StateFaulted || !strings.Contains(st.Error, "poison") {
			t.Errorf("status: %+v", st)
		}
		if got := j.types(); got != "good " {
			t.Errorf("handled %q", got)
		}
		if err := sub.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "poison") {
			t.Errorf("health: %v", err)
		}

		// An operator resumes, the handler is mended: it goes on where it stopped.
		if err := subscription.NewControl(s).Resume(t.Context(), "stops"); err != nil {
			t.Fatal(err)
		}
		if st := status(t, s, "stops"); st.State != subscription.StateStopped {
			t.Errorf("after Resume: %+v", st)
		}
		j.fail = nil
		sub = start(t, sub.Subscription)
		mustReach(t, sub.Subscription, 3)
		if got := j.types(); got != "good bad good " {
			t.Errorf("handled %q", got)
		}
		if err := sub.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestAHandlerThatFailsOnceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		last := appendTo(t, s, "a-1", "one", "two", "three")
		failures := 0
		j := journal{fail: func(e event.Recorded) error {
			if e.Type == "two" && failures < 2 {
				failures++
				return errors.New("not now")
			}
			return nil
		}}
		sub := start(t, newSubscription(t, s, "again", subscription.Handler(j.Handle), quiet(t)))
		synctest.Wait()
		if st := status(t, s, "again"); st.State != subscription.StateRetrying || st.Partitions[0].Attempts != 1 || !strings.Contains(st.Error, "not now") {
			t.Errorf("while it is tried again: %+v", st)
		}
		mustReach(t, sub.Subscription, last)
		if got := j.types(); got != "one two three " {
			t.Errorf("handled %q", got)
		}
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		appendTo(t, s, "a-1", "bad")
		sub := start(t, newSubscription(t, s, "panics", subscription.Handler(func(context.Context, event.Recorded) error { panic(errPoison) }), quiet(t)))
		if err := sub.wait(); !errors.Is(err, subscription.ErrFaulted) || !errors.Is(err, errPoison) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestAProcessorThatSaysNothingHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		appendTo(t, s, "a-1", "one", "two")
		sub := start(t, newSubscription(t, s, "silent", process(func(_ context.Context, b *subscription.Batch) error {
			b.Done(len(b.Events) - 1)
			return nil
		}), quiet(t)))
		if err := sub.wait(); !errors.Is(err, subscription.ErrFaulted) || !strings.Contains(err.Error(), "neither Done nor Commit") {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestOfABatchThatFailsTheGoodEventsAreHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		letters := deadletter.New(s, deadletter.Options{})
		last := appendTo(t, s, "s-0", "x", "bad", "x", "x", "bad", "x")
		o := quiet(t)
		o.DeadLetters = letters
		count := counter(s)
		sub := start(t, newSubscription(t, s, "batch", process(func(ctx context.Context, b *subscription.Batch) error {
			for _, e := range b.Events {
				if e.Type == "bad" {
					return errPoison
				}
			}
			return count(ctx, b)
		}), o))
		mustReach(t, sub.Subscription, last)
		expectCounts(t, s, 1, 4)
		var parked []event.Position
		for letter, err := range letters.List(t.Context(), deadletter.Filter{Source: "subscription/batch"}) {
			if err != nil {
				t.Fatal(err)
			}
			if letter.Attempts != 4 || letter.Error != "poison" || letter.State != deadletter.StateParked || letter.Sequence != "" {
				t.Errorf("letter: %+v", letter)
			}
			parked = append(parked, letter.Event.Position)
		}
		if len(parked) != 2 || parked[0] != 2 || parked[1] != 5 {
			t.Errorf("parked %v, want 2 and 5", parked)
		}
	})
}

func TestLaterEventsOfAParkedStreamWaitAndComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		letters := deadletter.New(s, deadletter.Options{})
		appendTo(t, s, "a-1", "a1", "bad", "a3")
		appendTo(t, s, "b-1", "b1")
		last := appendTo(t, s, "a-1", "a4")
		j := journal{fail: poisoned}
		o := quiet(t)
		o.DeadLetters, o.Failure = letters, subscription.FailureParkStream
		sub := start(t, newSubscription(t, s, "order", subscription.Handler(j.Handle), o))
		mustReach(t, sub.Subscription, last)
		if got := j.types(); got != "a1 b1 " {
			t.Errorf("handled %q", got)
		}

		// Also after a restart, events of the stream wait.
		if err := sub.end(); err != nil {
			t.Fatal(err)
		}
		sub = start(t, sub.Subscription)
		last = appendTo(t, s, "a-1", "a5")
		mustReach(t, sub.Subscription, last)
		if got := j.types(); got != "a1 b1 " {
			t.Errorf("handled %q after a restart", got)
		}
		if n, err := letters.Count(t.Context(), deadletter.Filter{State: deadletter.StateWaiting}); n != 3 || err != nil {
			t.Errorf("%d letters wait (%v), want 3", n, err)
		}

		// A retry that fails changes nothing.
		retry := func() {
			t.Helper()
			if err := letters.Retry(t.Context(), "subscription/order/0000000000000000002"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) //nolint:forbidigo // in a bubble: the poll interval passes
			synctest.Wait()
		}
		retry()
		if letter, err := letters.Get(t.Context(), "subscription/order/0000000000000000002"); err != nil || letter.State != deadletter.StateParked || letter.Attempts != 5 {
			t.Errorf("after a retry that failed: %+v, %v", letter, err)
		}
		j.mu.Lock()
		j.fail = nil
		j.mu.Unlock()
		retry()
		if got := j.types(); got != "a1 b1 bad a3 a4 a5 " {
			t.Errorf("handled %q after the retry", got)
		}
		if n, err := letters.Count(t.Context(), deadletter.Filter{}); n != 0 || err != nil {
			t.Errorf("%d letters are left (%v)", n, err)
		}
		last = appendTo(t, s, "a-1", "a6")
		mustReach(t, sub.Subscription, last)
		if got := j.types(); got != "a1 b1 bad a3 a4 a5 a6 " {
			t.Errorf("handled %q at last", got)
		}
		if st := status(t, s, "order"); st.Position < last-1 {
			t.Errorf("a retry has moved the checkpoint back: %+v", st)
		}
	})
}

func TestARetriedLetterIsCommittedWithItsRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		letters := deadletter.New(s, deadletter.Options{})
		last := appendTo(t, s, "s-0", "bad", "x")
		o := quiet(t)
		o.DeadLetters = letters
		var broken atomic.Bool
		broken.Store(true)
		count := counter(s)
		sub := start(t, newSubscription(t, s, "exact", process(func(ctx context.Context, b *subscription.Batch) error {
			if b.Events[0].Type == "bad" && broken.Load() {
				return errPoison
			}
			return count(ctx, b)
		}), o))
		mustReach(t, sub.Subscription, last)
		expectCounts(t, s, 1, 1)
		broken.Store(false)
		if err := letters.Retry(t.Context(), "subscription/exact/0000000000000000001"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // in a bubble: several polls pass
		synctest.Wait()
		expectCounts(t, s, 1, 2)
		if n, err := letters.Count(t.Context(), deadletter.Filter{}); n != 0 || err != nil {
			t.Errorf("%d letters are left (%v)", n, err)
		}
		if st := status(t, s, "exact"); st.Position != last {
			t.Errorf("the checkpoint is at %d, want %d", st.Position, last)
		}
	})
}

func TestStoppingIsNotAFailure(t *testing.T) {
	for _, c := range []struct {
		name     string
		obedient bool // the handler returns when its context ends
		grace    time.Duration
		took     time.Duration
		position event.Position
	}{
		{"the handler finishes within the grace", false, 10 * time.Second, 3 * time.Second, 1},
		{"the handler is cancelled after the grace", true, time.Second, time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory(t)
				letters := deadletter.New(s, deadletter.Options{})
				appendTo(t, s, "a-1", "one", "two")
				o := quiet(t)
				o.Grace, o.DeadLetters = c.grace, letters
				calls := 0
				sub := start(t, newSubscription(t, s, "stop", subscription.Handler(func(ctx context.Context, _ event.Recorded) error {
					if calls++; calls > 1 {
						return errNever
					}
					end := ctx.Done()
					if !c.obedient {
						end = nil
					}
					select {
					case <-time.After(3 * time.Second):
						return nil
					case <-end:
						return ctx.Err()
					}
				}), withBatches(o, 1)))
				synctest.Wait()
				begun := time.Now()
				if err := sub.end(); err != nil {
					t.Errorf("Run returned %v", err)
				}
				if took := time.Since(begun); took != c.took {
					t.Errorf("stopping took %v, want %v", took, c.took)
				}
				if st := status(t, s, "stop"); st.Position != c.position || st.State != subscription.StateStopped || st.Partitions[0].Owner != "" {
					t.Errorf("status: %+v", st)
				}
				if n, err := letters.Count(t.Context(), deadletter.Filter{}); n != 0 || err != nil || calls != 1 {
					t.Errorf("%d letters (%v), %d calls", n, err, calls)
				}
			})
		})
	}
}

func withBatches(o subscription.Options, events int) subscription.Options {
	o.BatchEvents = events
	return o
}

func TestARetryIsGivenUpWhenItIsTimeToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		appendTo(t, s, "a-1", "one", "bad")
		o := quiet(t)
		o.Retry = subscription.Retry{Attempts: 1000, Initial: time.Hour, Max: time.Hour}
		j := journal{fail: poisoned}
		sub := start(t, newSubscription(t, s, "patient", subscription.Handler(j.Handle), o))
		synctest.Wait()
		begun := time.Now()
		if err := sub.end(); err != nil || time.Since(begun) > 0 {
			t.Errorf("Run returned %v after %v", err, time.Since(begun))
		}
		if st := status(t, s, "patient"); st.Position != 1 {
			t.Errorf("the checkpoint is at %d, want 1", st.Position)
		}
	})
}

func TestAResetPastAFailingEventEndsItsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		appendTo(t, s, "a-1", "one", "bad", "three")
		o := quiet(t)
		o.Retry = subscription.Retry{Attempts: 1000, Initial: time.Hour, Max: time.Hour}
		j := journal{fail: poisoned}
		sub := start(t, newSubscription(t, s, "skip", subscription.Handler(j.Handle), o))
		synctest.Wait()
		if err := subscription.NewControl(s).Reset(t.Context(), "skip", 2); err != nil {
			t.Fatal(err)
		}
		mustReach(t, sub.Subscription, 3)
		synctest.Wait()
		if got := j.types(); got != "one three " {
			t.Errorf("handled %q", got)
		}
		if st := status(t, s, "skip"); st.State != subscription.StateLive || st.Error != "" {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestABatchIsOfNoUseAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		var kept *subscription.Batch
		sub := start(t, newSubscription(t, s, "kept", process(func(ctx context.Context, b *subscription.Batch) error {
			kept = b
			if err := b.Commit(ctx); err != nil {
				return err
			}
			if err := b.Commit(ctx); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("the second Commit: %v", err)
			}
			return nil
		}), quiet(t)))
		mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "one"))
		if err := sub.end(); err != nil {
			t.Error(err)
		}
		if err := kept.Commit(t.Context()); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Commit afterwards: %v", err)
		}
	})
}
