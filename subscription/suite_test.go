package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// What this file proves, it proves on each backend.

func TestNothingIsLostOrDoubledBetweenCatchingUpAndFollowing(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		const writers, each = 16, 40
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for range each {
					appendTo(t, s, event.StreamID(fmt.Sprintf("writer-%d", w)), "one", "two")
				}
			})
		}
		var j journal
		o := quick(t)
		o.Lease = time.Minute // nobody dies here; on a slow server a short one is lost, and its events come again
		sub := start(t, newSubscription(t, s, "switch", subscription.Handler(j.Handle), o))
		writing.Wait()
		mustReach(t, sub.Subscription, writers*each*2)
		if err := sub.end(); err != nil {
			t.Fatal(err)
		}
		j.expectEach(t, writers*each*2)
	})
}

func TestMembersShareThePartitionsAndKeepTheOrderOfEachStream(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		const streams, each = 40, 10
		var j journal
		o := quick(t)
		o.Partitions = 6
		a := start(t, newSubscription(t, s, "shared", subscription.Handler(j.Handle), o))
		for range each {
			for i := range streams / 2 {
				appendTo(t, s, event.StreamID(fmt.Sprintf("s-%d", i)), "x")
			}
		}
		<-a.CaughtUp()
		other := store.New(open(), store.Options{})
		b := start(t, newSubscription(t, other, "shared", subscription.Handler(j.Handle), o))
		eventually(t, "a fair share for each", func() bool {
			owners := map[string]int{}
			for _, p := range status(t, s, "shared").Partitions {
				owners[p.Owner]++
			}
			return len(owners) == 2 && owners[""] == 0 && len(status(t, s, "shared").Partitions) == 6 && balanced(owners)
		})
		for range each {
			for i := range streams {
				appendTo(t, other, event.StreamID(fmt.Sprintf("s-%d", i)), "x")
			}
		}
		total := event.Position(each*streams/2 + each*streams)
		mustReach(t, a.Subscription, total)
		mustReach(t, b.Subscription, total)
		if err := errors.Join(a.end(), b.end()); err != nil {
			t.Fatal(err)
		}
		j.expectEach(t, int(total))
		if st := status(t, s, "shared"); st.State != subscription.StateStopped || st.Position != total {
			t.Errorf("after the end: %+v", st)
		}
	})
}

func balanced(owners map[string]int) bool {
	for _, n := range owners {
		if n != 3 {
			return false
		}
	}
	return true
}

func TestAStaleOwnerThatWakesUpLateCannotWrite(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		last := appendTo(t, s, "a-1", "one", "two")
		cut := &faulty{Backend: open()}
		inside, wake, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		var once sync.Once
		stale := start(t, newSubscription(t, store.New(cut, store.Options{}), "fenced", process(func(ctx context.Context, b *subscription.Batch) error {
			err := errNever
			once.Do(func() {
				close(inside)
				<-wake // for longer than its lease lasts
				err = b.Commit(context.WithoutCancel(ctx), store.Put("model", "by", []byte("the stale owner")))
				result <- err
			})
			return err
		}), quick(t)))
		<-inside
		cut.set(down, nil) // it is cut off, and does not know

		fresh := start(t, newSubscription(t, s, "fenced", process(func(ctx context.Context, b *subscription.Batch) error {
			return b.Commit(ctx, store.Put("model", "by", []byte("the new owner")))
		}), quick(t)))
		mustReach(t, fresh.Subscription, last)
		before := status(t, s, "fenced")
		cut.set(nil, nil)
		close(wake)
		if err := <-result; !errors.Is(err, subscription.ErrFenced) {
			t.Errorf("the stale owner's commit: got %v, want ErrFenced", err)
		}
		if r, err := s.Get(t.Context(), "model", "by"); err != nil || string(r.Value) != "the new owner" {
			t.Errorf("the model was written by %q, %v", r.Value, err)
		}
		last = appendTo(t, s, "a-1", "three")
		mustReach(t, fresh.Subscription, last)
		after := status(t, s, "fenced")
		if after.Partitions[0].Epoch != before.Partitions[0].Epoch || after.Partitions[0].Owner != before.Partitions[0].Owner {
			t.Errorf("the partition changed hands: %+v, then %+v", before.Partitions[0], after.Partitions[0])
		}
		if err := errors.Join(stale.end(), fresh.end()); err != nil {
			t.Error(err)
		}
	})
}

// process makes a function a Processor.
type process func(ctx context.Context, b *subscription.Batch) error

func (p process) Process(ctx context.Context, b *subscription.Batch) error { return p(ctx, b) }

func TestACrashedMembersPartitionIsTakenOver(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		last := appendTo(t, s, "a-1", "one")
		cut := &faulty{Backend: open()}
		var first, second journal
		crashing := start(t, newSubscription(t, store.New(cut, store.Options{}), "crash", subscription.Handler(first.Handle), quick(t)))
		<-crashing.CaughtUp()
		eventually(t, "the first event", func() bool { return first.count() == 1 })
		eventually(t, "its checkpoint", func() bool { return status(t, s, "crash").Position == last })
		cut.set(down, nil)
		crashing.stop() // it can neither release its lease nor write
		survivor := start(t, newSubscription(t, s, "crash", subscription.Handler(second.Handle), quick(t)))
		last = appendTo(t, s, "a-1", "two")
		mustReach(t, survivor.Subscription, last)
		if got := second.types(); got != "two " {
			t.Errorf("the survivor handled %q, want what the other had not", got)
		}
		if err := survivor.end(); err != nil {
			t.Error(err)
		}
	})
}

// counter keeps a number for each stream in records, each written with the checkpoint.
func counter(s *store.Store) process {
	return func(ctx context.Context, b *subscription.Batch) error {
		counts := map[event.StreamID]int{}
		for _, e := range b.Events {
			counts[e.Stream]++
		}
		var ops []store.Op
		for stream, n := range counts {
			r, err := s.Get(ctx, "count", string(stream))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			before := 0
			if len(r.Value) > 0 {
				if _, err := fmt.Sscan(string(r.Value), &before); err != nil {
					return err
				}
			}
			ops = append(ops, store.Put("count", string(stream), fmt.Append(nil, before+n)))
		}
		return b.Commit(ctx, ops...)
	}
}

func expectCounts(t *testing.T, s *store.Store, streams, want int) {
	t.Helper()
	for i := range streams {
		r, err := s.Get(t.Context(), "count", fmt.Sprintf("s-%d", i))
		if err != nil || string(r.Value) != fmt.Sprint(want) {
			t.Errorf("stream %d was counted to %q (%v), want %d", i, r.Value, err, want)
		}
	}
}

func TestACommitWhoseAnswerIsLostCountsOnce(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		lossy := &faulty{Backend: open()}
		var n atomic.Int64
		lossy.set(nil, func(ops []store.Op) error {
			if strings.HasPrefix(ops[0].Bucket, "subscription/checkpoints") && len(ops) > 1 && n.Add(1)%3 == 0 {
				return fmt.Errorf("%w: the answer was lost", store.ErrUnavailable)
			}
			return nil
		})
		failing := store.New(lossy, store.Options{})
		o := quick(t)
		o.BatchEvents, o.Partitions = 7, 2
		sub := start(t, newSubscription(t, failing, "lossy", counter(failing), o))
		const streams, each = 5, 20
		var last event.Position
		for range each {
			for i := range streams {
				last = appendTo(t, s, event.StreamID(fmt.Sprintf("s-%d", i)), "x")
			}
		}
		mustReach(t, sub.Subscription, last)
		expectCounts(t, s, streams, each)
		if n.Load() < 3 {
			t.Error("no answer was lost: this test sees nothing")
		}
		if err := sub.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestACommitInATransactionThatIsUndoneIsUndone(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		b := open()
		if _, ok := b.(store.Transactor); !ok {
			t.Skip("the backend has no transactions")
		}
		s := store.New(b, store.Options{})
		last := appendTo(t, s, "s-0", "x", "x", "x")
		var tries atomic.Int64
		sub := start(t, newSubscription(t, s, "tx", process(func(ctx context.Context, b *subscription.Batch) error {
			return s.Transact(ctx, func(ctx context.Context) error {
				err := counter(s)(ctx, b)
				if err == nil && tries.Add(1) == 1 {
					err = errors.New("second thoughts")
				}
				return err
			})
		}), quick(t)))
		mustReach(t, sub.Subscription, last)
		expectCounts(t, s, 1, 3)
		if tries.Load() < 2 {
			t.Error("nothing was undone: this test sees nothing")
		}
		if err := sub.end(); err != nil {
			t.Error(err)
		}
		if st := status(t, s, "tx"); st.Position != last {
			t.Errorf("the checkpoint is at %d, want %d", st.Position, last)
		}
	})
}

func TestAnOutageInTheMiddleIsWaitedOut(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		f := &faulty{Backend: open()}
		failing := store.New(f, store.Options{})
		o := quick(t)
		sub := start(t, newSubscription(t, failing, "outage", counter(failing), o))
		mustReach(t, sub.Subscription, appendTo(t, s, "s-0", "x"))
		var refused atomic.Int64
		f.set(func(context.Context, string) error { refused.Add(1); return errDown }, nil)
		last := appendTo(t, s, "s-0", "x", "x")
		eventually(t, "several calls during the outage", func() bool { return refused.Load() > 5 })
		f.set(nil, nil)
		mustReach(t, sub.Subscription, last)
		expectCounts(t, s, 1, 3)
		if err := sub.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestAResetOfARunningSubscriptionMakesItGoOnFromThere(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		var j journal
		o := quick(t)
		o.Partitions = 2
		sub := start(t, newSubscription(t, s, "again", subscription.Handler(j.Handle), o))
		for i := range 10 {
			appendTo(t, s, event.StreamID(fmt.Sprintf("s-%d", i)), "x")
		}
		mustReach(t, sub.Subscription, 10)
		if err := subscription.NewControl(s).Reset(t.Context(), "again", 4); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the events after position 4 once more", func() bool { return j.count() == 16 })
		appendTo(t, s, "s-0", "last")
		mustReach(t, sub.Subscription, 11)
		if err := sub.end(); err != nil {
			t.Fatal(err)
		}
		seen := map[event.Position]int{}
		for _, e := range j.events {
			seen[e.Position]++
		}
		for p := event.Position(1); p <= 11; p++ {
			want := 1
			if p > 4 && p < 11 {
				want = 2
			}
			if seen[p] != want {
				t.Errorf("position %d was handled %d times, want %d", p, seen[p], want)
			}
		}
	})
}

func TestWaitForAlsoKnowsWhatOthersHandle(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		var j journal
		release := make(chan struct{})
		owner := start(t, newSubscription(t, store.New(open(), store.Options{}), "elsewhere", subscription.Handler(func(ctx context.Context, e event.Recorded) error {
			<-release
			return j.Handle(ctx, e)
		}), quick(t)))
		bystander := newSubscription(t, s, "elsewhere", subscription.Handler(j.Handle), quick(t))
		last := appendTo(t, s, "a-1", "x")
		short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if err := bystander.WaitFor(short, last); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before the event is handled: got %v", err)
		}
		close(release)
		mustReach(t, bystander, last)
		if j.count() != 1 {
			t.Errorf("%d events were handled when WaitFor returned", j.count())
		}
		if err := owner.end(); err != nil {
			t.Error(err)
		}
	})
}
