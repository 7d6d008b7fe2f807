package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/middleware/breaker"
	"lexigram.dev/events/store"
)

type charge struct{}

var errDown = errors.New("the bank does not answer")

// bus has a handler that fails with what *failure is.
func bus(t *testing.T, failure *error, calls *int, o breaker.Options) *command.Bus {
	t.Helper()
	step, err := breaker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b := command.NewBus(command.Options{})
	err = errors.Join(b.Use(middleware.Commands(step)), command.Handle(b, func(context.Context, charge) (command.None, error) {
		*calls++
		return command.None{}, *failure
	}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func send(t *testing.T, b *command.Bus) error {
	t.Helper()
	_, err := b.Dispatch(t.Context(), charge{})
	return err
}

func TestItOpensAfterFailuresInARowAndClosesAfterSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			calls  int
			states []string
		)
		failure := errDown
		b := bus(t, &failure, &calls, breaker.Options{OnChange: func(_, state string) { states = append(states, state) }})
		for range 5 {
			if err := send(t, b); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		if err := send(t, b); !errors.Is(err, breaker.ErrOpen) || calls != 5 {
			t.Errorf("got %v after %d calls", err, calls)
		}
		<-time.After(30*time.Second + 1)
		if err := send(t, b); !errors.Is(err, errDown) { // one is let through, and fails: open again
			t.Errorf("got %v", err)
		}
		if err := send(t, b); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("got %v", err)
		}
		failure = nil
		<-time.After(30*time.Second + 1)
		for range 3 {
			if err := send(t, b); err != nil {
				t.Error(err)
			}
		}
		if want := []string{"open", "half-open", "open", "half-open", "closed"}; !slices.Equal(states, want) {
			t.Errorf("got %q, want %q", states, want)
		}
	})
}

func TestErrorsOfTheMessageItselfDoNotCount(t *testing.T) {
	for _, own := range []error{middleware.ErrInvalid, middleware.ErrForbidden, store.ErrConflict, context.Canceled} {
		calls := 0
		failure := fmt.Errorf("charge: %w", own)
		b := bus(t, &failure, &calls, breaker.Options{Failures: 1})
		for range 3 {
			if err := send(t, b); !errors.Is(err, own) {
				t.Errorf("got %v", err)
			}
		}
		if calls != 3 {
			t.Errorf("%v: %d calls", own, calls)
		}
	}
}

func TestItRefusesSettingsThatMakeNoSense(t *testing.T) {
	if _, err := breaker.New(breaker.Options{Failures: -1}); err == nil {
		t.Error("it was made")
	}
}

func Example() {
	step, err := breaker.New(breaker.Options{Failures: 1})
	b := command.NewBus(command.Options{})
	err = errors.Join(err, b.Use(middleware.Commands(step)), command.Handle(b, func(context.Context, charge) (command.None, error) {
		return command.None{}, errors.New("the bank does not answer")
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		_, err := command.Dispatch[command.None](context.Background(), b, charge{})
		fmt.Println(err)
	}
	// Output:
	// the bank does not answer
	// command breaker_test.charge: circuit breaker is open after 1 failures in a row; it is tried again after 30s
}
