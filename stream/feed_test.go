package stream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/stream"
)

func TestEachEventComesOnceAndInOrderWhileManyAppend(t *testing.T) {
	const writers, each, before = 4, 60, 50
	everystore.Main(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		// So small that subscribers join, overflow and catch up again and again.
		feed := running(t, s, stream.Options{BufferSize: 10, BatchSize: 7})
		add(t, s, "old-1", "thing.old", before)
		var reading, writing sync.WaitGroup
		for i := range 6 {
			reading.Go(func() {
				after := event.Position(i * 9)
				sub, err := feed.Subscribe(t.Context(), store.Filter{}, after)
				if err != nil {
					t.Error(err)
					return
				}
				defer sub.Close()
				wants(t, sub, after+1, before+writers*each)
			})
		}
		category := subscribe(t, feed, store.Filter{Categories: []string{"w2"}}, 0)
		live := subscribe(t, feed, store.Filter{}, stream.Live)
		for w := range writers {
			writing.Go(func() {
				for range each {
					name := event.StreamID(fmt.Sprintf("w%d-1", w))
					if _, err := s.Append(t.Context(), name, store.Any(), event.Pending{Type: "thing.new", Data: []byte("1")}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		reading.Go(func() { wants(t, live, before+1, before+writers*each) })
		version := event.Version(0)
		for e, err := range category.Events(t.Context()) {
			if version++; err != nil || e.Stream != "w2-1" || e.Version != version {
				t.Fatalf("got %s version %d, %v; want version %d of w2-1", e.Stream, e.Version, err, version)
			}
			if version == each {
				break
			}
		}
		writing.Wait()
		reading.Wait()
	})
}

func TestASlowSubscriberIsDisconnectedAndResumesAndOthersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		feed := running(t, s, stream.Options{BufferSize: 3, BatchSize: 2, SlowAfter: time.Minute})
		slow, quick := subscribe(t, feed, store.Filter{}, 0), subscribe(t, feed, store.Filter{}, 0)
		add(t, s, "order-1", "order.placed", 1)
		wants(t, slow, 1, 1)
		for i := range event.Position(10) {
			wants(t, quick, i+1, i+1)
			add(t, s, "order-1", "order.placed", 1)
			synctest.Wait()
		}
		<-time.After(time.Minute - 1)
		synctest.Wait()
		if feed.Subscribers() != 2 {
			t.Error("it is disconnected too early")
		}
		<-time.After(1)
		synctest.Wait()
		if feed.Subscribers() != 1 {
			t.Error("it keeps its place")
		}
		_, err := slow.Next(t.Context())
		if isError(t, err, stream.ErrSlow); err == nil || !strings.Contains(err.Error(), "resume after position 1") {
			t.Errorf("got %v", err)
		}
		wants(t, subscribe(t, feed, store.Filter{}, slow.Position()), 2, 11)
		wants(t, quick, 11, 11)
	})
}

func TestOneWhoTakesIsNotDisconnectedByABurstBeyondItsBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		feed := running(t, s, stream.Options{BufferSize: 3, BatchSize: 2, SlowAfter: time.Minute})
		sub := subscribe(t, feed, store.Filter{}, 0)
		add(t, s, "order-1", "order.placed", 1)
		wants(t, sub, 1, 1)
		add(t, s, "order-1", "order.placed", 50)
		synctest.Wait()
		for i := range event.Position(25) {
			<-time.After(59 * time.Second)
			wants(t, sub, 2+2*i, 3+2*i)
		}
		if got := sub.Position(); got != 51 {
			t.Errorf("it is at %d", got)
		}
		<-time.After(time.Hour) // it is told of nothing, so it need not take
		add(t, s, "order-1", "order.placed", 1)
		wants(t, sub, 52, 52)
	})
}

func TestAnEventIsSeenAtOnceByAWakeUpAndWithinThePollIntervalWithout(t *testing.T) {
	for wakes, want := range map[bool]time.Duration{true: 0, false: 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var backend store.Backend = memstore.New(memstore.Options{})
			if !wakes {
				backend = deaf{backend}
			}
			s := store.New(backend, store.Options{})
			feed := running(t, s, stream.Options{PollInterval: 3 * time.Second})
			sub := subscribe(t, feed, store.Filter{}, stream.Live)
			got := make(chan time.Duration)
			go func() {
				start := time.Now()
				_, _ = sub.Next(t.Context())
				got <- time.Since(start)
			}()
			synctest.Wait()
			add(t, s, "order-1", "order.placed", 1)
			if took := <-got; took != want {
				t.Errorf("wake-ups %v: it took %v, want %v", wakes, took, want)
			}
		})
	}
}

// deaf is a backend without wake-ups.
type deaf struct{ store.Backend }

func TestThereAreNoMoreSubscribersThanAllowed(t *testing.T) {
	feed := running(t, memory(t), stream.Options{MaxSubscribers: 2})
	first := subscribe(t, feed, store.Filter{}, 0)
	subscribe(t, feed, store.Filter{}, 0)
	_, err := feed.Subscribe(t.Context(), store.Filter{}, 0)
	isError(t, err, stream.ErrTooMany)
	first.Close()
	first.Close()
	subscribe(t, feed, store.Filter{}, 0)
	_, err = first.Next(t.Context())
	isError(t, err, stream.ErrClosed)
}

func TestWhatCannotBeSubscribedToIsRefusedAndTakesNoPlace(t *testing.T) {
	feed := running(t, memory(t), stream.Options{})
	for _, after := range []event.Position{1, -2} { // the log is empty
		_, err := feed.Subscribe(t.Context(), store.Filter{}, after)
		isError(t, err, store.ErrInvalid)
	}
	_, err := feed.Subscribe(t.Context(), store.Filter{Categories: []string{""}}, 0)
	isError(t, err, store.ErrInvalid)
	if n := feed.Subscribers(); n != 0 {
		t.Errorf("there are %d subscribers", n)
	}
}

func TestASubscriptionEndsWithItsContextAndACallOfNextAlone(t *testing.T) {
	s := memory(t)
	feed := running(t, s, stream.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	sub, err := feed.Subscribe(ctx, store.Filter{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	short, over := context.WithCancel(t.Context())
	over()
	_, err = sub.Next(short)
	isError(t, err, context.Canceled)
	add(t, s, "order-1", "order.placed", 1)
	wants(t, sub, 1, 1)
	cancel()
	_, err = sub.Next(t.Context())
	isError(t, err, context.Canceled)
	if n := feed.Subscribers(); n != 0 {
		t.Errorf("there are %d subscribers", n)
	}
}

func TestAllEndsWithRun(t *testing.T) {
	feed := stream.New(memory(t), stream.Options{})
	stop := start(t, feed)
	sub := subscribe(t, feed, store.Filter{}, 0)
	ended := make(chan error, 1)
	go func() {
		_, err := sub.Next(context.Background())
		ended <- err
	}()
	stop()
	isError(t, <-ended, stream.ErrClosed)
	_, err := feed.Subscribe(t.Context(), store.Filter{}, 0)
	isError(t, err, stream.ErrClosed)
	isError(t, feed.Run(t.Context()), stream.ErrRunning)
}

// broken is a backend whose log cannot be read while it is down.
type broken struct {
	store.Backend
	down atomic.Bool
}

func (b *broken) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	if b.down.Load() {
		return func(yield func(event.Recorded, error) bool) { yield(event.Recorded{}, store.ErrUnavailable) }
	}
	return b.Backend.ReadLog(ctx, r)
}

func TestAnOutageIsToldAndWaitedOutByThoseWhoFollowAndThoseWhoCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := &broken{Backend: memstore.New(memstore.Options{})}
		s := store.New(backend, store.Options{})
		var told atomic.Int32
		feed := running(t, s, stream.Options{BatchSize: 2, OnError: func(err error) {
			if errors.Is(err, store.ErrUnavailable) {
				told.Add(1)
			}
		}})
		add(t, s, "order-1", "order.placed", 9)
		following := subscribe(t, feed, store.Filter{}, 0)
		wants(t, following, 1, 9)
		backend.down.Store(true)
		add(t, s, "order-1", "order.placed", 1)
		var catching sync.WaitGroup
		catching.Go(func() { wants(t, subscribe(t, feed, store.Filter{}, 0), 1, 10) })
		<-time.After(time.Hour)
		if told.Load() < 3 || feed.Health(t.Context()) == nil {
			t.Errorf("told %d times, health %v", told.Load(), feed.Health(t.Context()))
		}
		backend.down.Store(false)
		wants(t, following, 10, 10)
		catching.Wait()
		if err := feed.Health(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAStoreThatWasClosedEndsTheFeed(t *testing.T) {
	s := memory(t)
	feed := stream.New(s, stream.Options{})
	sub := subscribe(t, feed, store.Filter{}, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := sub.Next(t.Context())
	isError(t, err, store.ErrClosed)
	if feed.Subscribers() != 0 {
		t.Error("it keeps its place")
	}
}
