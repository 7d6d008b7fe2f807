package remote_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/command/remote"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func TestWithoutAServerTheDeadlineEndsTheWaitAndTheRequestIsNeverHandled(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		server := w.server(t, w.count, remote.ServerOptions{})
		must(t, server.Declare(t.Context()))
		client := w.client(t, "c", remote.ClientOptions{Timeout: 3 * time.Second})
		begun := time.Now()
		_, err := remote.Dispatch[receipt](t.Context(), client, place{})
		if !errors.Is(err, remote.ErrNoReply) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 3*time.Second {
			t.Fatalf("got %v after %v", err, time.Since(begun))
		}
		running(t, server.Run)
		synctest.Wait()
		if n := w.handled.Load(); n != 0 {
			t.Errorf("it was handled %d times after its deadline", n)
		}
		if text := w.errors.text(); !strings.Contains(text, "the deadline has passed") || !strings.Contains(text, "is dropped: it is late") {
			t.Errorf("reported: %s", text)
		}
	})
}

func TestARequestThatIsDeliveredAgainIsNotHandledAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		begun, end := make(chan bool), make(chan bool)
		handle := func(ctx context.Context, c place) (receipt, error) {
			begun <- true
			<-end
			return w.count(ctx, c)
		}
		w.serve(t, handle, remote.ServerOptions{})
		w.serve(t, handle, remote.ServerOptions{})
		client := w.client(t, "c", remote.ClientOptions{})
		done := make(chan error)
		go func() {
			_, err := remote.Dispatch[receipt](t.Context(), client, place{})
			done <- err
		}()
		<-begun
		w.memory.Disconnect() // the broker gives it to the other server, or to this one again
		<-time.After(time.Second)
		if !strings.Contains(w.errors.text(), "it was delivered again, and its handling was begun before") {
			t.Errorf("it was not delivered again, so this test sees nothing: %s", w.errors.text())
		}
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := w.handled.Load(); n != 1 {
			t.Errorf("handled %d times", n)
		}
	})
}

func TestAClaimWhoseAnswerWasLostIsTheServersOwn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		backend := &lossy{Backend: memstore.New(memstore.Options{})}
		w.store = store.New(backend, store.Options{})
		backend.lose.Store(1)
		w.serve(t, w.count, remote.ServerOptions{})
		got, err := remote.Dispatch[receipt](t.Context(), w.client(t, "c", remote.ClientOptions{}), place{})
		if err != nil || got.Count != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestAStoreThatIsGoneForAWhileIsWaitedForUntilTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		backend := &lossy{Backend: memstore.New(memstore.Options{})}
		w.store = store.New(backend, store.Options{})
		w.serve(t, w.count, remote.ServerOptions{})
		client := w.client(t, "c", remote.ClientOptions{})
		for _, once := range []string{"", "k"} {
			backend.down.Store(true)
			time.AfterFunc(5*time.Second, func() { backend.down.Store(false) })
			if _, err := remote.Dispatch[receipt](t.Context(), client, place{Once: once}); err != nil {
				t.Error(err)
			}
		}
		backend.down.Store(true)
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{}); !errors.Is(err, remote.ErrNoReply) {
			t.Errorf("got %v, want ErrNoReply", err)
		}
		if n := w.handled.Load(); n != 2 {
			t.Errorf("handled %d times", n)
		}
		backend.down.Store(false)
	})
}

// lossy is a store that can be gone, or lose answers.
type lossy struct {
	store.Backend
	lose atomic.Int64 // so many answers of Apply
	down atomic.Bool
}

func (l *lossy) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if l.down.Load() {
		return nil, store.ErrUnavailable
	}
	revisions, err := l.Backend.Apply(ctx, ops)
	if err == nil && l.lose.Add(-1) >= 0 {
		return nil, store.ErrUnavailable
	}
	return revisions, err
}

func TestASecondReplyIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var requests []string
		w.serve(t, func(ctx context.Context, c place) (receipt, error) {
			requests = append(requests, event.MetadataFrom(ctx).CausationID)
			return w.count(ctx, c)
		}, remote.ServerOptions{})
		client := w.client(t, "c", remote.ClientOptions{})
		_, err := remote.Dispatch[receipt](t.Context(), client, place{})
		must(t, err)
		must(t, w.broker.Publish(t.Context(), broker.Message{ID: "again", Topic: "orders.replies.c", Headers: map[string]string{
			"command-request": requests[0], "command-status": "ok",
		}, Body: []byte(`{}`)}))
		synctest.Wait()
		if !strings.Contains(w.errors.text(), requests[0]+`" is dropped`) {
			t.Errorf("reported: %s", w.errors.text())
		}
	})
}

func TestAnUnconfirmedRequestIsPublishedAgainWithItsID(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(t, w.count, remote.ServerOptions{})
		flaky := &flaky{Backend: w.memory}
		flaky.fail.Store(2)
		c, err := remote.NewClient(broker.New(flaky, broker.Options{}), w.registry, "orders", "c", remote.ClientOptions{OnError: w.errors.add})
		must(t, err)
		running(t, c.Run)
		got, err := remote.Dispatch[receipt](t.Context(), c, place{})
		if err != nil || got.Count != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		synctest.Wait()
		if n := w.handled.Load(); n != 1 {
			t.Errorf("handled %d times", n)
		}
	})
}

// flaky is a broker that takes messages and does not say so.
type flaky struct {
	broker.Backend
	fail atomic.Int64
}

func (f *flaky) Publish(ctx context.Context, messages []broker.Message) []error {
	failed := f.Backend.Publish(ctx, messages)
	if f.fail.Add(-1) >= 0 {
		return []error{broker.ErrUnavailable}
	}
	return failed
}

func TestAStoppingServerSaysThatItHasInterruptedAHandler(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		begun := make(chan bool)
		stop := w.serve(t, func(ctx context.Context, _ place) (receipt, error) {
			close(begun)
			<-ctx.Done()
			return receipt{}, ctx.Err()
		}, remote.ServerOptions{Grace: time.Second})
		client := w.client(t, "c", remote.ClientOptions{})
		go func() {
			<-begun
			stop()
		}()
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{}); !errors.Is(err, remote.ErrInterrupted) {
			t.Errorf("got %v, want ErrInterrupted", err)
		}
	})
}

func TestAClientThatDoesNotRunSendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(t, w.count, remote.ServerOptions{})
		client, err := remote.NewClient(w.broker, w.registry, "orders", "c", remote.ClientOptions{Timeout: time.Second})
		must(t, err)
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, remote.ErrNoReply) {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(500*time.Millisecond, func() { running(t, client.Run) })
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{}); err != nil {
			t.Errorf("it does not wait until it runs: %v", err)
		}
		if err := client.Run(t.Context()); !errors.Is(err, remote.ErrRunning) {
			t.Errorf("got %v, want ErrRunning", err)
		}
	})
}

func TestAStoppedClientEndsTheWaitOfItsCommands(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		must(t, w.server(t, w.count, remote.ServerOptions{}).Declare(t.Context()))
		client, err := remote.NewClient(w.broker, w.registry, "orders", "c", remote.ClientOptions{})
		must(t, err)
		stop := running(t, client.Run)
		time.AfterFunc(time.Second, stop)
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{}); !errors.Is(err, remote.ErrStopped) {
			t.Errorf("got %v, want ErrStopped", err)
		}
	})
}
