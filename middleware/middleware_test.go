package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/query"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type transfer struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Amount   int    `json:"amount"`
	Password string `json:"Password"`
}

func (t transfer) Validate() error {
	var faults []error
	if t.From == "" {
		faults = append(faults, middleware.FieldError{Field: "from", Rule: "required", Text: "must not be empty"})
	}
	if t.From == t.To {
		faults = append(faults, errors.New("from and to are the same account"))
	}
	return errors.Join(faults...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// busOf is a command bus with one handler behind the steps.
func busOf(t *testing.T, handle func(ctx context.Context, c transfer) (int, error), steps ...middleware.Step) *command.Bus {
	t.Helper()
	bus := command.NewBus(command.Options{})
	must(t, bus.Use(middleware.Commands(steps...)))
	must(t, command.Handle(bus, handle))
	return bus
}

func amount(_ context.Context, c transfer) (int, error) { return c.Amount, nil }

var good = transfer{From: "a", To: "b", Amount: 7, Password: "geheim"}

func send(ctx context.Context, bus *command.Bus) (int, error) {
	return command.Dispatch[int](ctx, bus, good)
}

func TestStepsRunFromTheOutsideIn(t *testing.T) {
	var trace []string
	step := func(name string) middleware.Step {
		return func(ctx context.Context, c middleware.Call, next middleware.Next) error {
			trace = append(trace, name+" "+string(c.Kind()))
			err := next(ctx)
			trace = append(trace, fmt.Sprint(name, " ", c.Result()))
			return err
		}
	}
	bus := query.NewBus(query.Options{})
	must(t, bus.Use(middleware.Queries(step("a"), step("b"))))
	must(t, query.Handle(bus, amount))
	if got, err := query.Dispatch[int](t.Context(), bus, good); got != 7 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if want := []string{"a query", "b query", "b 7", "a 7"}; !slices.Equal(trace, want) {
		t.Errorf("got %q, want %q", trace, want)
	}
}

func TestAStepMayAnswerInPlaceOfTheHandler(t *testing.T) {
	bus := busOf(t, func(context.Context, transfer) (int, error) {
		t.Error("the handler was called")
		return 0, nil
	}, func(_ context.Context, c middleware.Call, _ middleware.Next) error { return c.SetResult(42) })
	if got, err := send(t.Context(), bus); got != 42 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

type paid struct {
	Amount int `json:"amount"`
}

func (p paid) Validate() error {
	if p.Amount < 0 {
		return middleware.FieldError{Field: "amount", Text: "must not be negative"}
	}
	return nil
}

func TestEventsPassTheSameSteps(t *testing.T) {
	registry := schema.NewRegistry()
	must(t, schema.Register[paid](registry, "order.paid", schema.Options{}))
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	bus, err := eventbus.New(broker.New(membroker.New(membroker.Options{}), broker.Options{}), registry, "shop", eventbus.Options{Store: s})
	must(t, err)
	seen := make(chan string, 1)
	must(t, bus.Use(middleware.Events(func(ctx context.Context, c middleware.Call, next middleware.Next) error {
		err := next(ctx)
		seen <- fmt.Sprint(c.Kind(), " ", c.Name(), " ", c.Handler(), " ", c.Payload(), " ", c.Result(), " ", c.SetResult(1), " ", err)
		return broker.Permanent(err)
	}, middleware.Validate())))
	must(t, eventbus.On(bus, "mailer", func(context.Context, paid, eventbus.Message) error {
		t.Error("an invalid event was handled")
		return nil
	}, eventbus.HandlerOptions{}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- bus.Run(ctx) }()
	must(t, bus.Publish(t.Context(), paid{Amount: -1}))
	want := "event order.paid mailer {-1} <nil> " + middleware.ErrNoResult.Error() + " event order.paid to mailer: invalid: amount: must not be negative"
	if got := <-seen; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	cancel()
	must(t, <-ended)
}

func TestValidationReportsAllFaultsTogether(t *testing.T) {
	handled := false
	bus := busOf(t, func(context.Context, transfer) (int, error) { handled = true; return 0, nil },
		middleware.Validate(func(_ context.Context, payload any) error {
			if payload.(transfer).Amount <= 0 {
				return fmt.Errorf("limits: %w", middleware.FieldError{Field: "amount", Rule: "gt", Text: "must be more than 0"})
			}
			return nil
		}))
	_, err := command.Dispatch[int](t.Context(), bus, transfer{})
	var invalid *middleware.ValidationError
	if !errors.Is(err, middleware.ErrInvalid) || !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	want := []middleware.FieldError{
		{Field: "from", Rule: "required", Text: "must not be empty"},
		{Text: "from and to are the same account"},
		{Field: "amount", Rule: "gt", Text: "must be more than 0"},
	}
	if !slices.Equal(invalid.Fields, want) || handled {
		t.Errorf("got %+v, handled: %v", invalid.Fields, handled)
	}
	if text := "command middleware_test.transfer: invalid: from: must not be empty; from and to are the same account; amount: must be more than 0"; err.Error() != text {
		t.Errorf("the text is %q", err)
	}
	if _, err := send(t.Context(), bus); err != nil || !handled {
		t.Errorf("a valid command: %v, handled: %v", err, handled)
	}
}

func retry(t *testing.T, o middleware.RetryOptions) middleware.Step {
	t.Helper()
	step, err := middleware.Retry(o)
	must(t, err)
	return step
}

func TestTransientFailuresAreTriedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []int
		step := retry(t, middleware.RetryOptions{OnRetry: func(_ context.Context, _ middleware.Call, attempt int, err error) {
			if errors.Is(err, store.ErrConflict) {
				told = append(told, attempt)
			}
		}})
		calls := 0
		bus := busOf(t, func(context.Context, transfer) (int, error) {
			if calls++; calls < 4 {
				return 0, fmt.Errorf("append: %w", store.ErrConflict)
			}
			return calls, nil
		}, step)
		start := time.Now()
		got, err := send(t.Context(), bus)
		if got != 4 || err != nil || !slices.Equal(told, []int{2, 3, 4}) {
			t.Errorf("got %d, %v; told of %v", got, err, told)
		}
		if took := time.Since(start); took < 560*time.Millisecond || took > 840*time.Millisecond {
			t.Errorf("the pauses took %v, want 100, 200 and 400 ms, each varied by a fifth", took)
		}
		calls = -10
		if _, err := send(t.Context(), bus); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "4 attempts") || calls != -6 {
			t.Errorf("got %v after %d calls", err, calls+10)
		}
	})
}

func TestOtherFailuresAndAnEndedContextAreNotTriedAgain(t *testing.T) {
	calls := 0
	broken := errors.New("no such account")
	bus := busOf(t, func(context.Context, transfer) (int, error) { calls++; return 0, broken }, retry(t, middleware.RetryOptions{}))
	if _, err := send(t.Context(), bus); !errors.Is(err, broken) || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		calls := 0
		bus := busOf(t, func(context.Context, transfer) (int, error) { calls++; return 0, store.ErrUnavailable }, retry(t, middleware.RetryOptions{}))
		start := time.Now()
		if _, err := send(ctx, bus); !errors.Is(err, store.ErrUnavailable) || calls != 1 || time.Since(start) != 50*time.Millisecond {
			t.Errorf("got %v after %d calls and %v", err, calls, time.Since(start))
		}
	})
}

func TestRetryRefusesSettingsThatMakeNoSense(t *testing.T) {
	if _, err := middleware.Retry(middleware.RetryOptions{Policy: broker.Retry{Attempts: -1}}); err == nil || !strings.Contains(err.Error(), "attempts -1") {
		t.Errorf("got %v", err)
	}
}

func TestTheContextEndsInTimeAndTheErrorSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(ctx context.Context, _ transfer) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
		bus := busOf(t, wait, middleware.Timeout(time.Minute, map[string]time.Duration{"middleware_test.transfer": time.Second}))
		start := time.Now()
		_, err := send(t.Context(), bus)
		if !errors.Is(err, middleware.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := send(ctx, bus); errors.Is(err, middleware.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's own deadline: got %v", err)
		}
		unbound := busOf(t, amount, middleware.Timeout(0, nil))
		if got, err := send(t.Context(), unbound); got != 7 || err != nil {
			t.Errorf("without a bound: %d, %v", got, err)
		}
	})
}

func TestWhoMayNotIsRefused(t *testing.T) {
	bus := busOf(t, amount, middleware.Authorize(func(ctx context.Context, c middleware.Call) error {
		if event.MetadataFrom(ctx).Actor != "ada" {
			return errors.New("only ada may " + c.Name())
		}
		return nil
	}))
	if _, err := send(t.Context(), bus); !errors.Is(err, middleware.ErrForbidden) || !strings.Contains(err.Error(), "only ada may") {
		t.Errorf("got %v", err)
	}
	if got, err := send(event.WithMetadata(t.Context(), event.Metadata{Actor: "ada"}), bus); got != 7 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestTheLogShowsNoSecretsAndNoPayloadUnlessTold(t *testing.T) {
	for name, c := range map[string]struct {
		o          middleware.LogOptions
		fails      bool
		want, lack []string
	}{
		"plain":   {want: []string{"level=INFO", "msg=command", "name=middleware_test.transfer", "correlation_id=c-1", "took="}, lack: []string{"payload", "geheim"}},
		"payload": {o: middleware.LogOptions{Payload: true}, want: []string{`\"from\":\"a\"`, `\"Password\":\"***\"`}, lack: []string{"geheim"}},
		"cut":     {o: middleware.LogOptions{Payload: true, MaxPayloadBytes: 5}, want: []string{"…"}, lack: []string{"from", "geheim"}},
		"failure": {fails: true, want: []string{"level=ERROR", "error=sold"}},
		"quiet":   {o: middleware.LogOptions{Level: slog.LevelDebug}, lack: []string{"transfer"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c.o.Logger = slog.New(slog.NewTextHandler(&out, nil))
			bus := busOf(t, func(context.Context, transfer) (int, error) {
				if c.fails {
					return 0, errors.New("sold")
				}
				return 0, nil
			}, middleware.Log(c.o))
			if _, err := send(event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "c-1"}), bus); (err != nil) != c.fails {
				t.Error(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in %s", want, out.String())
				}
			}
			for _, lack := range c.lack {
				if strings.Contains(out.String(), lack) {
					t.Errorf("%q is in %s", lack, out.String())
				}
			}
		})
	}
}
