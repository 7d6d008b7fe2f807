package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/middleware/ratelimit"
)

type ping struct{}

func newBus(tb testing.TB, o ratelimit.Options) *command.Bus {
	tb.Helper()
	step, err := ratelimit.New(o)
	b := command.NewBus(command.Options{})
	err = errors.Join(err, b.Use(middleware.Commands(step)), command.Handle(b, func(context.Context, ping) (command.None, error) { return command.None{}, nil }))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func send(ctx context.Context, b *command.Bus) error {
	_, err := b.Dispatch(ctx, ping{})
	return err
}

func TestABurstPassesAndThenOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, ratelimit.Options{PerSecond: 10, Burst: 3})
		for range 3 {
			if err := send(t.Context(), b); err != nil {
				t.Error(err)
			}
		}
		if err := send(t.Context(), b); !errors.Is(err, ratelimit.ErrLimited) {
			t.Errorf("got %v", err)
		}
		<-time.After(100 * time.Millisecond) // what was refused has taken nothing
		if err := send(t.Context(), b); err != nil {
			t.Error(err)
		}
	})
}

func TestAMessageMayWaitForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, ratelimit.Options{PerSecond: 1, Wait: time.Second})
		start := time.Now()
		for range 2 {
			if err := send(t.Context(), b); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := send(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestEachBucketHasItsOwnLimitAndIdleOnesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, ratelimit.Options{PerSecond: 1, Bucket: func(ctx context.Context, _ middleware.Call) string { return event.MetadataFrom(ctx).Tenant }})
		for round := range 2 {
			for tenant := range 10_001 { // more than are kept: those of the round before are swept
				ctx := event.WithMetadata(t.Context(), event.Metadata{Tenant: fmt.Sprint(round, "-", tenant)})
				if err := send(ctx, b); err != nil {
					t.Fatal(err)
				}
				if err := send(ctx, b); !errors.Is(err, ratelimit.ErrLimited) {
					t.Fatalf("got %v", err)
				}
			}
			<-time.After(time.Second)
		}
	})
}

func TestItRefusesSettingsThatMakeNoSense(t *testing.T) {
	for _, o := range []ratelimit.Options{{}, {PerSecond: -1}, {PerSecond: 1, Burst: -1}, {PerSecond: 1, Wait: -1}} {
		if _, err := ratelimit.New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func Example() {
	step, err := ratelimit.New(ratelimit.Options{PerSecond: 1})
	b := command.NewBus(command.Options{})
	err = errors.Join(err, b.Use(middleware.Commands(step)), command.Handle(b, func(context.Context, ping) (command.None, error) { return command.None{}, nil }))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(send(context.Background(), b))
	fmt.Println(errors.Is(send(context.Background(), b), ratelimit.ErrLimited))
	// Output:
	// <nil>
	// true
}
