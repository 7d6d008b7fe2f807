package remote_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/command/remote"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

func TestACommandGoesToTheServerAndItsResultComesBackWithTheConversation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var (
			seen event.Metadata
			left time.Duration
		)
		w.serve(t, func(ctx context.Context, c place) (receipt, error) {
			seen = event.MetadataFrom(ctx)
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return w.count(ctx, c)
		}, remote.ServerOptions{})
		client := w.client(t, "web-1", remote.ClientOptions{})
		sent := event.Metadata{CorrelationID: "c1", CausationID: "before", Actor: "ada", Tenant: "acme", TraceParent: "00-1-2-01", Custom: map[string]string{"plan": "ünlimited"}}
		ctx, cancel := context.WithTimeout(event.WithMetadata(t.Context(), sent), 7*time.Second)
		defer cancel()
		got, err := remote.Dispatch[receipt](ctx, client, place{Order: "o1", N: 3})
		if err != nil || got != (receipt{Order: "o1", Count: 1}) {
			t.Fatalf("got %+v, %v", got, err)
		}
		if left != 7*time.Second {
			t.Errorf("the handler has %v, want the caller's 7 s", left)
		}
		if _, err := event.ParseID(seen.CausationID); err != nil {
			t.Errorf("the cause is %q, want the request's id", seen.CausationID)
		}
		seen.CausationID = sent.CausationID
		if fmt.Sprint(seen) != fmt.Sprint(sent) {
			t.Errorf("the handler sees %+v, want %+v", seen, sent)
		}
		if text := w.errors.text(); text != "" {
			t.Error(text)
		}
	})
}

func TestErrorsComeBackAsWhatTheyAre(t *testing.T) {
	codes := remote.Codes{"sold_out": errSoldOut}
	secret := errors.New("postgres://user:hunter2@db failed")
	for name, c := range map[string]struct {
		fail   error
		panics bool
		expose bool
		is     []error
		code   string
		says   string
	}{
		"a code of the user's":        {fail: fmt.Errorf("order o1: %w", errSoldOut), is: []error{errSoldOut}, code: "sold_out", says: "order o1: sold out"},
		"a conflict":                  {fail: &store.ConflictError{Stream: "order-1", Expected: store.NoStream(), Actual: 5}, is: []error{store.ErrConflict}, code: "conflict", says: "stream order-1 is at version 5"},
		"a store that is not there":   {fail: fmt.Errorf("%w: %w", store.ErrUnavailable, secret), is: []error{store.ErrUnavailable}, code: "unavailable", says: "backend unavailable; the server has the details"},
		"an error without a code":     {fail: secret, is: []error{remote.ErrInternal}, code: "internal", says: "the handler failed; the server has the details"},
		"one that is to be shown":     {fail: secret, expose: true, is: []error{remote.ErrInternal}, code: "internal", says: "hunter2"},
		"a panic":                     {fail: secret, panics: true, is: []error{remote.ErrPanic}, code: "panic", says: "the handler panicked; the server has the details"},
		"no time left in the handler": {fail: context.DeadlineExceeded, is: []error{context.DeadlineExceeded}, code: "deadline", says: "the server has the details"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.serve(t, func(context.Context, place) (receipt, error) {
					if c.panics {
						panic(c.fail)
					}
					return receipt{}, c.fail
				}, remote.ServerOptions{Codes: codes, ExposeErrors: c.expose})
				client := w.client(t, "web-1", remote.ClientOptions{Codes: codes})
				_, err := remote.Dispatch[receipt](t.Context(), client, place{Order: "o1"})
				var got *remote.Error
				if !errors.As(err, &got) || got.Code != c.code || got.Command != "order.place" {
					t.Fatalf("got %#v", err)
				}
				for _, kind := range c.is {
					if !errors.Is(err, kind) {
						t.Errorf("%v is not %v", err, kind)
					}
				}
				if !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "remote command order.place: ") {
					t.Errorf("got %q, want %q", err, c.says)
				}
				if strings.Contains(err.Error(), "hunter2") && !c.expose {
					t.Errorf("%v tells what must stay with the server", err)
				}
				if got.Message == "" && !strings.Contains(w.errors.text(), got.Request) {
					t.Errorf("the server has not reported request %s: %s", got.Request, w.errors.text())
				}
				if c.panics && !strings.Contains(w.errors.text(), "goroutine") {
					t.Error("the report has no stack")
				}
			})
		})
	}
}

func TestACodeThatTheClientDoesNotKnowIsStillNamed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(t, func(context.Context, place) (receipt, error) { return receipt{}, errSoldOut },
			remote.ServerOptions{Codes: remote.Codes{"sold_out": errSoldOut}})
		_, err := remote.Dispatch[receipt](t.Context(), w.client(t, "c", remote.ClientOptions{}), place{})
		var got *remote.Error
		if !errors.As(err, &got) || got.Code != "sold_out" || errors.Is(err, errSoldOut) || got.Message != "sold out" {
			t.Errorf("got %#v", err)
		}
	})
}

func TestWhatTheServerCannotReadIsAnsweredOrADeadLetter(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(t, w.count, remote.ServerOptions{})
		type unknown struct{}
		newer := schema.NewRegistry()
		must(t, schema.Register[unknown](newer, "order.unknown", schema.Options{}))
		must(t, schema.Register[place](newer, "order.place", schema.Options{Version: 2, Oldest: 2}))
		client, err := remote.NewClient(w.broker, newer, "orders", "new", remote.ClientOptions{})
		must(t, err)
		running(t, client.Run)
		if _, err := remote.Dispatch[receipt](t.Context(), client, unknown{}); !errors.Is(err, remote.ErrUnknownCommand) {
			t.Errorf("got %v, want ErrUnknownCommand", err)
		}
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{}); !errors.Is(err, remote.ErrMalformed) {
			t.Errorf("got %v, want ErrMalformed", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		patient, err := remote.NewClient(w.broker, w.registry, "orders", "patient", remote.ClientOptions{Timeout: 20 * time.Hour})
		must(t, err)
		running(t, patient.Run)
		if _, err := remote.Dispatch[receipt](ctx, patient, place{}); err != nil {
			t.Errorf("clocks may differ by an hour: %v", err)
		}
		if _, err := remote.Dispatch[receipt](t.Context(), patient, place{}); !errors.Is(err, remote.ErrMalformed) {
			t.Errorf("got %v, want ErrMalformed for the deadline", err)
		}
		must(t, w.broker.Publish(t.Context(), broker.Message{ID: "x", Topic: "orders", Body: []byte("?")},
			broker.Message{ID: "y", Topic: "orders", Headers: map[string]string{"command-client": "../../secrets"}}))
		synctest.Wait()
		var ids []string
		for letter, err := range deadletter.New(w.store, deadletter.Options{}).List(t.Context(), deadletter.Filter{}) {
			must(t, err)
			ids = append(ids, letter.Source+" "+letter.Message.ID)
		}
		if fmt.Sprint(ids) != "[remote/orders x remote/orders y]" {
			t.Errorf("dead letters: %q", ids)
		}
		if n := w.handled.Load(); n != 1 {
			t.Errorf("%d commands were handled", n)
		}
	})
}

func TestOversizeCommandsAreNotSentAndOversizeResultsAreSaidToBe(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.broker = broker.New(w.memory, broker.Options{Limits: broker.Limits{MaxMessageBytes: 2000}})
		w.serve(t, func(ctx context.Context, c place) (receipt, error) {
			_, err := w.count(ctx, c)
			return receipt{Order: strings.Repeat("x", 3000)}, err
		}, remote.ServerOptions{})
		client := w.client(t, "c", remote.ClientOptions{})
		_, err := remote.Dispatch[receipt](t.Context(), client, place{Order: strings.Repeat("x", 3000)})
		if !errors.Is(err, broker.ErrTooLarge) || w.handled.Load() != 0 {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
		for i := range 2 {
			_, err = remote.Dispatch[receipt](t.Context(), client, place{Once: "k"})
			if !errors.Is(err, remote.ErrReplyTooLarge) || !errors.Is(err, broker.ErrTooLarge) || w.handled.Load() != 1 {
				t.Errorf("time %d: got %v after %d handlings, want ErrReplyTooLarge after one", i+1, err, w.handled.Load())
			}
		}
	})
}

func TestAResultOfAnotherTypeIsSaidToBe(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(t, w.count, remote.ServerOptions{})
		if _, err := remote.Dispatch[int](t.Context(), w.client(t, "c", remote.ClientOptions{}), place{}); !errors.Is(err, remote.ErrResult) {
			t.Errorf("got %v, want ErrResult", err)
		}
	})
}

func TestAServerBeginsOnlyWithAHandlerForEveryCommand(t *testing.T) {
	w := newWorld(t)
	s, err := remote.NewServer(w.broker, command.NewBus(command.Options{}), w.registry, w.store, "orders", remote.ServerOptions{})
	must(t, err)
	if err := s.Run(t.Context()); !errors.Is(err, command.ErrNoHandler) || !strings.Contains(err.Error(), "order.place") {
		t.Errorf("got %v", err)
	}
}

func TestFaultsOfTheOptionsAreReportedTogether(t *testing.T) {
	w := newWorld(t)
	_, err := remote.NewServer(nil, nil, nil, w.store, "or/ders", remote.ServerOptions{
		Concurrency: -1, MaxTimeout: -1, KeepResults: -1, Grace: -1, InTransaction: true,
		Codes: remote.Codes{"conflict": errSoldOut, "Ä": errSoldOut, "nothing": nil},
	})
	for _, want := range []string{"needed", "Concurrency", "MaxTimeout", "KeepResults", "Grace", "InTransaction", `"conflict"`, `"Ä"`, `"nothing"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q too", err, want)
		}
	}
	if _, err := remote.NewClient(w.broker, nil, "orders", "a/b", remote.ClientOptions{Timeout: -1}); err == nil ||
		!strings.Contains(err.Error(), "registry") || !strings.Contains(err.Error(), "timeout") || !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

type watcher struct{ seen []observe.Dispatch }

func (w *watcher) OnDispatch(_ context.Context, d observe.Dispatch) { w.seen = append(w.seen, d) }

func TestHooksSeeCommandsOnTheirWay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		watch := &watcher{}
		hooks, err := observe.NewHooks(watch)
		must(t, err)
		w.serve(t, w.count, remote.ServerOptions{})
		_, err = remote.Dispatch[receipt](t.Context(), w.client(t, "c", remote.ClientOptions{Hooks: hooks}), place{})
		must(t, err)
		if len(watch.seen) != 1 || watch.seen[0].Kind != "remote command" || watch.seen[0].Name != "order.place" || watch.seen[0].Err != nil {
			t.Errorf("seen: %+v", watch.seen)
		}
	})
}
