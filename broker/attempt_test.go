package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
)

// The handler's context behaves like one of context.WithTimeoutCause, however it is looked at first.
func TestAHandlersContextEndsWithItsTimeoutAndItsReturn(t *testing.T) {
	looks := map[string]func(ctx context.Context) error{
		"Done":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"Err":   func(ctx context.Context) error { sleep(2 * time.Second); return ctx.Err() },
		"Cause": func(ctx context.Context) error { sleep(2 * time.Second); _ = context.Cause(ctx); return ctx.Err() },
		"a child": func(ctx context.Context) error {
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			<-inner.Done()
			return inner.Err()
		},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var (
					kept context.Context
					dead error
				)
				b := broker.New(newFaulty(), broker.Options{})
				stop := consume(t, b, func(ctx context.Context, d broker.Delivery) error {
					if d.ID == "quick" {
						kept = ctx
						return ctx.Err()
					}
					begun := time.Now()
					if at, ok := ctx.Deadline(); !ok || !at.Equal(begun.Add(time.Second)) {
						t.Errorf("the deadline is %v (%v), now is %v", at, ok, begun)
					}
					err := look(ctx)
					if cause := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(cause, broker.ErrTimeout) {
						t.Errorf("after the timeout: %v, cause %v", err, cause)
					}
					return fmt.Errorf("gave up: %w", err)
				}, broker.ConsumerOptions{
					Timeout: time.Second, Retry: broker.Retry{Attempts: 1},
					DeadLetter: func(_ context.Context, _ broker.Delivery, cause error) error { dead = cause; return nil },
				})
				must(t, b.Publish(t.Context(), message("quick"), message("slow")))
				sleep(time.Minute)
				must(t, stop())
				if !errors.Is(dead, broker.ErrTimeout) {
					t.Errorf("the failure is %v, want ErrTimeout", dead)
				}
				if err := kept.Err(); !errors.Is(err, context.Canceled) {
					t.Errorf("after its handler has returned a context says %v", err)
				}
				select {
				case <-kept.Done():
				default:
					t.Error("its Done is not closed")
				}
			})
		})
	}
}

// A worker that has taken several messages must not let them wait behind one whose handler hangs.
func TestAHandlerThatHangsHoldsUpNobodyButItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			f       = newFaulty()
			b       = broker.New(f, broker.Options{})
			handled = make(chan string, 1000)
			release = make(chan struct{})
		)
		stop := consume(t, b, func(_ context.Context, d broker.Delivery) error {
			if d.ID == "hangs" {
				<-release
			}
			handled <- d.ID
			return nil
		}, broker.ConsumerOptions{Concurrency: 2, Timeout: -1})
		var all []broker.Message
		for i := range 500 {
			m := message(fmt.Sprint(i))
			m.Key = fmt.Sprint(i % 100)
			if i == 250 {
				m.ID = "hangs"
			}
			all = append(all, m)
		}
		must(t, b.Publish(t.Context(), all...))
		sleep(time.Second)
		if n := len(handled); n != 497 { // all but it and the two behind it of its key
			t.Errorf("%d are handled while one hangs, want 497", n)
		}
		if left, err := b.Backlog(t.Context(), orders()); err != nil || left.Messages != 3 {
			t.Errorf("%d are not acknowledged (%v), want 3", left.Messages, err)
		}
		close(release)
		must(t, stop())
	})
}
