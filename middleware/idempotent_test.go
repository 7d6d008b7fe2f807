package middleware_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/query"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type charge struct {
	Key    string `json:"-"`
	Amount int    `json:"amount"`
}

func (c charge) IdempotencyKey() string { return c.Key }

type receipt struct {
	Number int
	Amount int
}

// till is a command bus whose handler numbers receipts; more than one of it are more than one process.
func till(t *testing.T, s *store.Store, o middleware.IdempotentOptions, handle func(ctx context.Context, c charge) (receipt, error)) *command.Bus {
	t.Helper()
	o.OnError = func(err error) { t.Log(err) }
	step, err := middleware.Idempotent(s, o)
	must(t, err)
	b := command.NewBus(command.Options{})
	must(t, b.Use(middleware.Commands(step)))
	must(t, command.Handle(b, handle))
	return b
}

func memory() *store.Store { return store.New(memstore.New(memstore.Options{}), store.Options{}) }

func pay(ctx context.Context, b *command.Bus, key string, amount int) (receipt, error) {
	return command.Dispatch[receipt](ctx, b, charge{key, amount})
}

func TestACommandWithAKeyIsHandledOnce(t *testing.T) {
	s := memory()
	calls := 0
	handle := func(_ context.Context, c charge) (receipt, error) { calls++; return receipt{calls, c.Amount}, nil }
	one, two := till(t, s, middleware.IdempotentOptions{}, handle), till(t, s, middleware.IdempotentOptions{}, handle)
	for _, b := range []*command.Bus{one, two, one} {
		if got, err := pay(t.Context(), b, "k", 5); err != nil || got != (receipt{1, 5}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if _, err := pay(t.Context(), two, "k", 6); !errors.Is(err, middleware.ErrKeyReused) {
		t.Errorf("got %v", err)
	}
	if got, err := pay(event.WithMetadata(t.Context(), event.Metadata{Tenant: "acme"}), one, "k", 6); err != nil || got.Number != 2 {
		t.Errorf("another tenant's key: %+v, %v", got, err)
	}
	for range 2 {
		if _, err := pay(t.Context(), one, "", 5); err != nil {
			t.Error(err)
		}
	}
	if calls != 4 {
		t.Errorf("%d calls, want 4: those without a key are handled each", calls)
	}
}

func TestAFailureIsNotKept(t *testing.T) {
	calls := 0
	b := till(t, memory(), middleware.IdempotentOptions{}, func(context.Context, charge) (receipt, error) {
		if calls++; calls == 1 {
			return receipt{}, errors.New("no cover")
		}
		return receipt{Number: calls}, nil
	})
	if _, err := pay(t.Context(), b, "k", 5); err == nil || !strings.Contains(err.Error(), "no cover") {
		t.Errorf("got %v", err)
	}
	if got, err := pay(t.Context(), b, "k", 5); err != nil || got.Number != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestThoseThatComeMeanwhileWaitForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		var calls atomic.Int64
		slow := func(context.Context, charge) (receipt, error) {
			n := calls.Add(1)
			<-time.After(time.Minute) // longer than the lease, which is renewed
			return receipt{Number: int(n)}, nil
		}
		var wg sync.WaitGroup
		for range 5 {
			b := till(t, s, middleware.IdempotentOptions{}, slow)
			wg.Go(func() {
				if got, err := pay(t.Context(), b, "k", 5); err != nil || got.Number != 1 {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := pay(ctx, till(t, s, middleware.IdempotentOptions{}, slow), "k", 5); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that cannot wait: %v", err)
		}
		wg.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestResultsAreForgottenAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b := till(t, memory(), middleware.IdempotentOptions{Keep: time.Hour}, func(context.Context, charge) (receipt, error) {
			calls++
			return receipt{Number: calls}, nil
		})
		for i, want := range []int{1, 1, 2} {
			if got, err := pay(t.Context(), b, "k", 5); err != nil || got.Number != want {
				t.Errorf("call %d: %+v, %v", i, got, err)
			}
			<-time.After(31 * time.Minute)
		}
	})
}

// A process that dies leaves a lease behind, and nothing else; another goes on when that has expired.
func TestAKeyOfADeadProcessIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		dying := till(t, s, middleware.IdempotentOptions{}, func(context.Context, charge) (receipt, error) { panic("killed") })
		if _, err := pay(t.Context(), dying, "k", 5); err == nil {
			t.Fatal("it has survived")
		}
		b := till(t, s, middleware.IdempotentOptions{}, func(context.Context, charge) (receipt, error) { return receipt{Number: 9}, nil })
		if got, err := pay(t.Context(), b, "k", 5); err != nil || got.Number != 9 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// The effect and the result are one transaction: there is no moment between them in which a crash would do it twice.
func TestInATransactionTheEffectAndTheResultAreOne(t *testing.T) {
	s := durable(t)
	fail := true
	b := till(t, s, middleware.IdempotentOptions{InTransaction: true}, func(ctx context.Context, _ charge) (receipt, error) {
		must(t, record(ctx, s))
		if fail {
			return receipt{}, errors.New("too late")
		}
		return receipt{Number: 1}, nil
	})
	if _, err := pay(t.Context(), b, "k", 5); err == nil {
		t.Error("it succeeded")
	}
	if events, noted := count(t, s); events != 0 || noted {
		t.Errorf("%d events, noted: %v", events, noted)
	}
	fail = false
	for range 2 {
		if got, err := pay(t.Context(), b, "k", 5); err != nil || got.Number != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if events, noted := count(t, s); events != 1 || !noted {
		t.Errorf("%d events, noted: %v", events, noted)
	}
}

func TestItStandsOutsideOfTransactionsAndLetsQueriesPass(t *testing.T) {
	s := durable(t)
	transaction, err := middleware.Transaction(s, middleware.RetryOptions{})
	must(t, err)
	step, err := middleware.Idempotent(s, middleware.IdempotentOptions{})
	must(t, err)
	b := command.NewBus(command.Options{})
	must(t, b.Use(middleware.Commands(transaction, step)))
	handle := func(context.Context, charge) (receipt, error) { return receipt{}, nil }
	must(t, command.Handle(b, handle))
	if _, err := pay(t.Context(), b, "k", 5); err == nil || !strings.Contains(err.Error(), "outside of a transaction") {
		t.Errorf("got %v", err)
	}
	q := query.NewBus(query.Options{})
	must(t, q.Use(middleware.Queries(step)))
	must(t, query.Handle(q, handle))
	if _, err := q.Dispatch(t.Context(), charge{"k", 5}); err != nil {
		t.Error(err)
	}
	if _, err := middleware.Idempotent(store.New(struct{ store.Backend }{memstore.New(memstore.Options{})}, store.Options{}), middleware.IdempotentOptions{InTransaction: true}); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := middleware.Idempotent(s, middleware.IdempotentOptions{Keep: -1}); err == nil {
		t.Error("a negative time was accepted")
	}
}

func TestAResultThatCouldNotBeGivenAgainIsRefusedBeforeTheHandler(t *testing.T) {
	step, err := middleware.Idempotent(memory(), middleware.IdempotentOptions{})
	must(t, err)
	b := command.NewBus(command.Options{})
	must(t, b.Use(middleware.Commands(step)))
	must(t, command.Handle(b, func(context.Context, charge) (any, error) {
		t.Error("it was handled")
		return 1, nil
	}))
	if _, err := b.Dispatch(t.Context(), charge{"k", 5}); err == nil || !strings.Contains(err.Error(), "interface type") {
		t.Errorf("got %v", err)
	}
}
