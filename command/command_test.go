package command_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
)

type deposit struct {
	Account string
	Amount  int64
}

func pass(next command.Next) command.Next {
	return func(ctx context.Context, m command.Message) error { return next(ctx, m) }
}

func newBus(tb testing.TB, middleware int) *command.Bus {
	tb.Helper()
	b := command.NewBus(command.Options{})
	for range middleware {
		if err := b.Use(pass); err != nil {
			tb.Fatal(err)
		}
	}
	if err := command.Handle(b, func(_ context.Context, c deposit) (int64, error) { return c.Amount * 2, nil }); err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestThreeWaysToDispatchGiveOneAnswer(t *testing.T) {
	b := newBus(t, 1)
	c := deposit{Account: "a", Amount: 21}
	static, err := command.Dispatch[int64](t.Context(), b, c)
	if static != 42 || err != nil {
		t.Errorf("Dispatch gives %d, %v", static, err)
	}
	dynamic, err := b.Dispatch(t.Context(), c)
	if dynamic != int64(42) || err != nil {
		t.Errorf("Bus.Dispatch gives %v, %v", dynamic, err)
	}
	d, err := command.Resolve[deposit, int64](b)
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := d.Dispatch(t.Context(), c)
	if resolved != 42 || err != nil {
		t.Errorf("Dispatcher gives %d, %v", resolved, err)
	}
}

func TestACommandIsCalledACommandInErrors(t *testing.T) {
	b := newBus(t, 0)
	_, err := command.Dispatch[command.None](t.Context(), b, struct{}{})
	if !errors.Is(err, command.ErrNoHandler) || !strings.Contains(err.Error(), "dispatch command struct {}: no handler; there are handlers for command_test.deposit") {
		t.Errorf("got %v", err)
	}
	if _, err = command.Resolve[deposit, string](b); !errors.Is(err, command.ErrResultType) {
		t.Errorf("got %v", err)
	}
	if err = b.Use(pass); !errors.Is(err, command.ErrLate) {
		t.Errorf("got %v", err)
	}
	if names := b.Names(); len(names) != 1 || names[0] != "command_test.deposit" {
		t.Errorf("names are %q", names)
	}
}

func TestADispatchInAConversationAllocatesNothing(t *testing.T) {
	b := newBus(t, 3)
	ctx := event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "c"})
	d, err := command.Resolve[deposit, int64](b)
	if err != nil {
		t.Fatal(err)
	}
	for name, dispatch := range map[string]func(){
		"Dispatcher": func() { _, _ = d.Dispatch(ctx, deposit{Amount: 1}) },
		"Dispatch":   func() { _, _ = command.Dispatch[int64](ctx, b, deposit{Amount: 1}) },
	} {
		if raceEnabled {
			continue // sync.Pool drops items at random under the race detector
		}
		if allocs := testing.AllocsPerRun(1000, dispatch); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func BenchmarkDispatch(b *testing.B) {
	inConversation := event.WithMetadata(b.Context(), event.Metadata{CorrelationID: "c"})
	for _, c := range []struct {
		name       string
		middleware int
		ctx        context.Context
	}{
		{"resolved/0 middlewares", 0, inConversation},
		{"resolved/3 middlewares", 3, inConversation},
		{"resolved/3 middlewares, new conversation", 3, b.Context()},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, err := command.Resolve[deposit, int64](newBus(b, c.middleware))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Dispatch(c.ctx, deposit{Amount: 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("by type/3 middlewares", func(b *testing.B) {
		bus := newBus(b, 3)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := command.Dispatch[int64](inConversation, bus, deposit{Amount: 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
