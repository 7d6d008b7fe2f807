package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/dispatch"
	"lexigram.dev/events/observe"
)

type greet struct{ name string }

type leave struct{}

func newBus() *dispatch.Bus { return dispatch.New("command", dispatch.Options{}) }

func handleGreet(t *testing.T, b *dispatch.Bus) {
	t.Helper()
	must(t, dispatch.Handle(b, func(_ context.Context, g greet) (string, error) { return "hello " + g.name, nil }))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func send[R, C any](ctx context.Context, b *dispatch.Bus, c C) (R, error) {
	return dispatch.Dispatch[C, R](ctx, b, c)
}

func wantError(t *testing.T, err error, kind error, phrases ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v is not of the kind %q", err, kind)
	}
	for _, phrase := range phrases {
		if !strings.Contains(err.Error(), phrase) {
			t.Errorf("error %q does not say %q", err, phrase)
		}
	}
}

func TestAMessageReachesItsHandler(t *testing.T) {
	b := newBus()
	handleGreet(t, b)
	got, err := send[string](t.Context(), b, greet{"ada"})
	if got != "hello ada" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	dynamic, err := b.Dispatch(t.Context(), greet{"bob"})
	if dynamic != "hello bob" || err != nil {
		t.Errorf("got %v, %v", dynamic, err)
	}
}

func TestAMissingHandlerIsNamedAndTheKnownOnesAreListed(t *testing.T) {
	b := newBus()
	_, err := send[string](t.Context(), b, greet{})
	wantError(t, err, dispatch.ErrNoHandler, "command dispatch_test.greet", "no handler is registered at all")
	handleGreet(t, b)
	_, err = send[string](t.Context(), b, leave{})
	wantError(t, err, dispatch.ErrNoHandler, "dispatch_test.leave", "there are handlers for dispatch_test.greet")
	for _, message := range []any{leave{}, &greet{}, nil} {
		_, err = b.Dispatch(t.Context(), message)
		wantError(t, err, dispatch.ErrNoHandler, fmt.Sprintf("%T", message))
	}
}

func TestASecondHandlerIsAnError(t *testing.T) {
	b := newBus()
	handleGreet(t, b)
	err := dispatch.Handle(b, func(context.Context, greet) (int, error) { return 0, nil })
	wantError(t, err, dispatch.ErrDuplicateHandler, "dispatch_test.greet")
	got, _ := send[string](t.Context(), b, greet{"ada"})
	if got != "hello ada" {
		t.Errorf("the first handler was replaced: %q", got)
	}
}

func TestAnImpossibleHandlerIsAnError(t *testing.T) {
	b := newBus()
	if err := dispatch.Handle[greet, string](b, nil); err == nil {
		t.Error("a nil handler was accepted")
	}
	if err := dispatch.Handle(b, func(context.Context, any) (string, error) { return "", nil }); err == nil {
		t.Error("a handler of an interface was accepted")
	}
}

func TestAnotherResultTypeIsAnError(t *testing.T) {
	b := newBus()
	handleGreet(t, b)
	_, err := send[int](t.Context(), b, greet{})
	wantError(t, err, dispatch.ErrResultType, "int asked for", "gives string")
}

func TestTheHandlersErrorComesBackAsItIs(t *testing.T) {
	b, refused := newBus(), errors.New("refused")
	must(t, dispatch.Handle(b, func(context.Context, greet) (string, error) { return "", refused }))
	if _, err := send[string](t.Context(), b, greet{}); err != refused { //nolint:errorlint // it must be the very error
		t.Errorf("got %v", err)
	}
}

func TestMiddlewareRunsInTheOrderOfRegistration(t *testing.T) {
	b := newBus()
	var trace []string
	mark := func(name string) dispatch.Middleware {
		return func(next dispatch.Next) dispatch.Next {
			return func(ctx context.Context, m dispatch.Message) error {
				trace = append(trace, fmt.Sprintf("%s before %s %v", name, m.Name(), m.Payload()))
				err := next(ctx, m)
				trace = append(trace, fmt.Sprintf("%s after %v", name, m.Result()))
				return err
			}
		}
	}
	must(t, b.Use(mark("a")))
	must(t, b.Use(mark("b"), mark("c")))
	handleGreet(t, b)
	_, err := send[string](t.Context(), b, greet{"ada"})
	must(t, err)
	want := []string{
		"a before dispatch_test.greet {ada}", "b before dispatch_test.greet {ada}", "c before dispatch_test.greet {ada}",
		"c after hello ada", "b after hello ada", "a after hello ada",
	}
	if !slices.Equal(trace, want) {
		t.Errorf("got  %q\nwant %q", trace, want)
	}
}

func TestMiddlewareMayAnswerInPlaceOfTheHandler(t *testing.T) {
	b := newBus()
	must(t, b.Use(func(dispatch.Next) dispatch.Next {
		return func(_ context.Context, m dispatch.Message) error {
			if err := m.SetResult(7); err == nil || !strings.Contains(err.Error(), "int given, need string") {
				t.Errorf("a result of the wrong type: %v", err)
			}
			return m.SetResult("cached")
		}
	}))
	must(t, dispatch.Handle(b, func(context.Context, greet) (string, error) { panic("must not be called") }))
	got, err := send[string](t.Context(), b, greet{})
	if got != "cached" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAResultDoesNotLeakIntoTheNextDispatch(t *testing.T) {
	b := newBus()
	must(t, b.Use(func(next dispatch.Next) dispatch.Next {
		return func(ctx context.Context, m dispatch.Message) error {
			if m.Result() != "" {
				t.Errorf("the result is %q before the handler ran", m.Result())
			}
			return next(ctx, m)
		}
	}))
	handleGreet(t, b)
	for range 100 {
		_, err := send[string](t.Context(), b, greet{"ada"})
		must(t, err)
	}
}

type foreign struct{ dispatch.Message }

func TestMiddlewareMustPassOnTheMessageItWasGiven(t *testing.T) {
	b := newBus()
	must(t, b.Use(func(next dispatch.Next) dispatch.Next {
		return func(ctx context.Context, m dispatch.Message) error { return next(ctx, foreign{m}) }
	}))
	handleGreet(t, b)
	if _, err := send[string](t.Context(), b, greet{}); err == nil || !strings.Contains(err.Error(), "foreign") {
		t.Errorf("got %v", err)
	}
}

func TestMiddlewareAfterTheFirstHandlerIsAnError(t *testing.T) {
	b := newBus()
	pass := func(next dispatch.Next) dispatch.Next { return next }
	if err := b.Use(pass, nil); err == nil || !strings.Contains(err.Error(), "number 2 is nil") {
		t.Errorf("nil middleware: %v", err)
	}
	handleGreet(t, b)
	wantError(t, b.Use(pass), dispatch.ErrLate, "dispatch_test.greet", "add middleware first")
}

func TestAPanicBecomesAnError(t *testing.T) {
	for _, where := range []string{"handler", "middleware"} {
		t.Run(where, func(t *testing.T) {
			b := newBus()
			must(t, b.Use(func(next dispatch.Next) dispatch.Next {
				return func(ctx context.Context, m dispatch.Message) error {
					if where == "middleware" {
						panic("boom")
					}
					return next(ctx, m)
				}
			}))
			must(t, dispatch.Handle(b, func(context.Context, greet) (string, error) { panic("boom") }))
			_, err := send[string](t.Context(), b, greet{})
			var panicked *dispatch.PanicError
			if !errors.As(err, &panicked) || panicked.Value != "boom" || !strings.Contains(string(panicked.Stack), "dispatch_test.go") {
				t.Fatalf("got %v", err)
			}
			if err.Error() != "command dispatch_test.greet: panic: boom" {
				t.Errorf("error says %q", err)
			}
		})
	}
}

func TestTheTimeoutEndsTheHandlersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dispatch.New("command", dispatch.Options{Timeout: time.Second})
		must(t, dispatch.Handle(b, func(ctx context.Context, _ greet) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}))
		_, err := send[string](t.Context(), b, greet{})
		wantError(t, err, dispatch.ErrTimeout, "command dispatch_test.greet", "after 1s")
		wantError(t, err, context.DeadlineExceeded)

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err = send[string](ctx, b, greet{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, dispatch.ErrTimeout) {
			t.Errorf("the caller's own deadline is taken for the bus's: %v", err)
		}
	})
}

func TestTheHandlerGetsACorrelationID(t *testing.T) {
	id := event.NewID()
	b := dispatch.New("command", dispatch.Options{NewID: func() event.ID { return id }})
	must(t, dispatch.Handle(b, func(ctx context.Context, _ greet) (event.Metadata, error) { return event.MetadataFrom(ctx), nil }))
	got, err := send[event.Metadata](t.Context(), b, greet{})
	if err != nil || got.CorrelationID != id.String() {
		t.Errorf("correlation id is %q, want the new one, %s", got.CorrelationID, id)
	}
	ctx := event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "mine", Actor: "ada"})
	got, err = send[event.Metadata](ctx, b, greet{})
	if err != nil || got.CorrelationID != "mine" || got.Actor != "ada" {
		t.Errorf("metadata is %+v, want that of the context", got)
	}
}

type recorder struct{ seen []observe.Dispatch }

func (r *recorder) OnDispatch(_ context.Context, d observe.Dispatch) { r.seen = append(r.seen, d) }

func TestHooksSeeEachDispatch(t *testing.T) {
	r := &recorder{}
	hooks, err := observe.NewHooks(r)
	must(t, err)
	b, refused := dispatch.New("query", dispatch.Options{Hooks: hooks}), errors.New("refused")
	must(t, dispatch.Handle(b, func(_ context.Context, g greet) (string, error) {
		if g.name == "" {
			return "", refused
		}
		return g.name, nil
	}))
	for _, name := range []string{"ada", ""} {
		_, _ = send[string](t.Context(), b, greet{name}) // what it returns is another test
	}
	if len(r.seen) != 2 || r.seen[0].Err != nil || !errors.Is(r.seen[1].Err, refused) ||
		r.seen[0].Kind != "query" || r.seen[0].Name != "dispatch_test.greet" {
		t.Errorf("seen: %+v", r.seen)
	}
}

func TestHandlersAreRegisteredAndCalledConcurrently(t *testing.T) {
	b := newBus()
	must(t, b.Use(func(next dispatch.Next) dispatch.Next { return next }))
	handleGreet(t, b)
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			name := fmt.Sprint(i)
			for range 500 {
				if got, err := send[string](t.Context(), b, greet{name}); got != "hello "+name || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	must(t, dispatch.Handle(b, func(context.Context, leave) (int, error) { return 1, nil }))
	callers.Wait()
	if names := b.Names(); !slices.Equal(names, []string{"dispatch_test.greet", "dispatch_test.leave"}) {
		t.Errorf("names are %q", names)
	}
}
