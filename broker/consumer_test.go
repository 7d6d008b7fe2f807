package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
)

func TestAStreamWhoseAnswersFailIsOpenedAgainAndItsMessagesComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		b := broker.New(f, broker.Options{})
		failures := 2
		f.ack = func() error {
			if failures--; failures >= 0 {
				return fmt.Errorf("%w: reset", broker.ErrUnavailable)
			}
			return nil
		}
		var handled atomic.Int32
		stop := consume(t, b, func(context.Context, broker.Delivery) error { handled.Add(1); return nil }, broker.ConsumerOptions{})
		must(t, b.Publish(t.Context(), message("1")))
		sleep(time.Minute)
		if handled.Load() != 3 || f.consumed != 3 {
			t.Errorf("handled %d times over %d streams, want 3 and 3", handled.Load(), f.consumed)
		}
		if left, err := b.Backlog(t.Context(), orders()); err != nil || left.Messages != 0 {
			t.Errorf("backlog %+v (%v)", left, err)
		}
		must(t, stop())
	})
}

func TestABrokerThatIsUnavailableIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		b := broker.New(f, broker.Options{})
		f.consume = func() error {
			if f.consumed <= 5 {
				return fmt.Errorf("%w: refused", broker.ErrUnavailable)
			}
			return nil
		}
		var (
			reported atomic.Int32
			handled  = make(chan struct{})
		)
		stop := consume(t, b, func(context.Context, broker.Delivery) error { close(handled); return nil },
			broker.ConsumerOptions{OnError: func(error) { reported.Add(1) }})
		must(t, b.Publish(t.Context(), message("1")))
		begun := time.Now()
		<-handled
		if waited := time.Since(begun); waited < 2*time.Second || waited > 4*time.Second { // 100, 200, 400, 800, 1600 ms
			t.Errorf("it took %v for five failures", waited)
		}
		if reported.Load() != 5 {
			t.Errorf("%d faults were reported, want 5", reported.Load())
		}
		must(t, stop())
	})
}

func TestPausesBeginAnewAfterAStreamThatHasWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		b := broker.New(f, broker.Options{})
		handled := make(chan struct{})
		stop := consume(t, b, func(context.Context, broker.Delivery) error { handled <- struct{}{}; return nil }, broker.ConsumerOptions{})
		for i := range 10 {
			must(t, b.Publish(t.Context(), message(fmt.Sprint(i))))
			begun := time.Now()
			<-handled
			if waited := time.Since(begun); waited > 120*time.Millisecond {
				t.Errorf("after the %d. break the stream was opened again after %v", i, waited)
			}
			synctest.Wait()
			f.Disconnect()
		}
		must(t, stop())
	})
}

func TestAConsumerThatIsStoppedWhileTheBrokerIsGoneEndsCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		f.consume = func() error { return broker.ErrUnavailable }
		stop := consume(t, broker.New(f, broker.Options{}), func(context.Context, broker.Delivery) error { return nil }, broker.ConsumerOptions{})
		synctest.Wait()
		must(t, stop())
	})
}

func TestARefusalEndsTheConsumer(t *testing.T) {
	f := newFaulty()
	f.consume = func() error { return fmt.Errorf("%w: no permission", broker.ErrRefused) }
	b := broker.New(f, broker.Options{})
	c, err := broker.NewConsumer(b, orders(), func(context.Context, broker.Delivery) error { return nil },
		broker.ConsumerOptions{DeadLetter: func(context.Context, broker.Delivery, error) error { return nil }})
	must(t, err)
	if err := c.Run(t.Context()); !errors.Is(err, broker.ErrRefused) || f.consumed != 1 {
		t.Errorf("got %v after %d tries, want ErrRefused after one", err, f.consumed)
	}
}

func TestAMessageThatIsNotOwnedAnyMoreIsNotHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		f.owned = func(any) bool { return false }
		b := broker.New(f, broker.Options{})
		stop := consume(t, b, func(context.Context, broker.Delivery) error { t.Error("it was handled"); return nil }, broker.ConsumerOptions{})
		must(t, b.Publish(t.Context(), message("1")))
		synctest.Wait()
		must(t, stop())
		if len(f.acks) != 0 {
			t.Error("it was acknowledged")
		}
	})
}

func TestAnswersAreSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		b := broker.New(f, broker.Options{})
		first := true
		f.ack = func() error {
			if first {
				first = false
				sleep(time.Second) // the others gather meanwhile
			}
			return nil
		}
		stop := consume(t, b, func(context.Context, broker.Delivery) error { return nil }, broker.ConsumerOptions{})
		for i := range 100 {
			must(t, b.Publish(t.Context(), message(fmt.Sprint(i))))
		}
		sleep(time.Minute)
		must(t, stop())
		total := 0
		for _, n := range f.acks {
			total += n
		}
		if total != 100 || len(f.acks) > 5 {
			t.Errorf("acknowledged %v", f.acks)
		}
	})
}

func TestARetryDoesNotHoldAPlaceWhileItPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := broker.New(newFaulty(), broker.Options{})
		var (
			mu      sync.Mutex
			handled []string
		)
		stop := consume(t, b, func(_ context.Context, d broker.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if d.Key == "bad" && d.Attempt < 3 {
				return errBoom
			}
			handled = append(handled, d.ID)
			return nil
		}, broker.ConsumerOptions{Concurrency: 1, Retry: broker.Retry{Initial: time.Hour, Max: time.Hour}})
		bad := message("bad")
		bad.Key = "bad"
		must(t, b.Publish(t.Context(), bad, message("good")))
		synctest.Wait()
		mu.Lock()
		if !slices.Equal(handled, []string{"good"}) {
			t.Errorf("handled %v while the failed one pauses", handled)
		}
		mu.Unlock()
		sleep(3 * time.Hour)
		must(t, stop())
		if !slices.Equal(handled, []string{"good", "bad"}) {
			t.Errorf("handled %v", handled)
		}
	})
}

func TestStoppingDoesNotWaitForPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := broker.New(newFaulty(), broker.Options{})
		stop := consume(t, b, func(context.Context, broker.Delivery) error { return errBoom },
			broker.ConsumerOptions{Retry: broker.Retry{Initial: time.Hour, Max: time.Hour}})
		must(t, b.Publish(t.Context(), message("1"), message("2")))
		synctest.Wait()
		begun := time.Now()
		must(t, stop())
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v to stop", took)
		}
		if left, err := b.Backlog(t.Context(), orders()); err != nil || left.Messages != 2 {
			t.Errorf("backlog %+v (%v), want both messages", left, err)
		}
	})
}
