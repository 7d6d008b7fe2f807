package remote_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/command/remote"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/sqlitestore"
)

func TestOneKeyOneEffectOneResult(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		handle := func(ctx context.Context, c place) (receipt, error) {
			<-time.After(100 * time.Millisecond)
			return w.count(ctx, c)
		}
		var clients []*remote.Client
		for _, name := range []string{"a", "b", "c"} {
			w.serve(t, handle, remote.ServerOptions{})
			clients = append(clients, w.client(t, name, remote.ClientOptions{}))
		}
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				// Different keys of order, so that the servers get them at the same time.
				got, err := remote.Dispatch[receipt](t.Context(), clients[i%3], remote.Request{
					Command: place{Order: "o1", N: 7}, IdempotencyKey: "k1", Key: fmt.Sprint(i),
				})
				if err != nil || got.Count != 1 {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
		all.Wait()
		<-time.After(23 * time.Hour)
		if got, err := remote.Dispatch[receipt](t.Context(), clients[0], place{Order: "o1", N: 7, Once: "k1"}); err != nil || got.Count != 1 {
			t.Errorf("within the time: got %+v, %v", got, err)
		}
		<-time.After(2 * time.Hour)
		if got, err := remote.Dispatch[receipt](t.Context(), clients[0], place{Order: "o1", N: 7, Once: "k1"}); err != nil || got.Count != 2 {
			t.Errorf("after the time: got %+v, %v", got, err)
		}
	})
}

func TestKeysAreOfACommandItsDataAndATenant(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(t, w.count, remote.ServerOptions{})
		client := w.client(t, "c", remote.ClientOptions{})
		first, err := remote.Dispatch[receipt](t.Context(), client, place{Order: "o1", Once: "k"})
		must(t, err)
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{Order: "o2", Once: "k"}); !errors.Is(err, remote.ErrKeyReused) {
			t.Errorf("other data: got %v, want ErrKeyReused", err)
		}
		other := event.WithMetadata(t.Context(), event.Metadata{Tenant: "other"})
		second, err := remote.Dispatch[receipt](other, client, place{Order: "o1", Once: "k"})
		if err != nil || second.Count == first.Count {
			t.Errorf("another tenant got %+v, %v", second, err)
		}
	})
}

func TestAFailureIsNotKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(t, func(ctx context.Context, c place) (receipt, error) {
			if got, _ := w.count(ctx, c); got.Count == 1 {
				return receipt{}, store.ErrConflict
			}
			return receipt{Count: w.handled.Load()}, nil
		}, remote.ServerOptions{})
		client := w.client(t, "c", remote.ClientOptions{})
		if _, err := remote.Dispatch[receipt](t.Context(), client, place{Once: "k"}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("got %v", err)
		}
		for range 2 {
			if got, err := remote.Dispatch[receipt](t.Context(), client, place{Once: "k"}); err != nil || got.Count != 2 {
				t.Errorf("got %+v, %v", got, err)
			}
		}
	})
}

// One server is cut off from its store in the middle, as if it had died; another takes over under the same key.
func TestWhenTheHolderOfAKeyDiesTheNextOneIsHandledUnderTheSameKey(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var (
			memory     = memstore.New(memstore.Options{})
			cut        = &lossy{Backend: memory}
			begun, end = make(chan bool, 2), make(chan bool)
			keys       = make(chan string, 2)
		)
		w.store = store.New(cut, store.Options{})
		w.serve(t, func(ctx context.Context, c place) (receipt, error) {
			keys <- remote.Key(ctx)
			begun <- true
			<-end
			return w.count(ctx, c)
		}, remote.ServerOptions{Concurrency: 1})
		client := w.client(t, "c", remote.ClientOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if _, err := remote.Dispatch[receipt](ctx, client, place{Once: "k"}); !errors.Is(err, remote.ErrNoReply) {
			t.Fatalf("got %v, want ErrNoReply", err)
		}
		<-begun
		cut.down.Store(true)
		w.store = store.New(memory, store.Options{})
		w.serve(t, func(ctx context.Context, _ place) (receipt, error) {
			keys <- remote.Key(ctx)
			return receipt{Count: 100}, nil
		}, remote.ServerOptions{})
		w.memory.Disconnect()
		got, err := remote.Dispatch[receipt](t.Context(), client, remote.Request{Command: place{}, IdempotencyKey: "k", Key: "other"})
		if err != nil || got.Count != 100 {
			t.Errorf("got %+v, %v", got, err)
		}
		if a, b := <-keys, <-keys; a == "" || a != b {
			t.Errorf("the keys are %q and %q", a, b)
		}
		close(end)
		<-time.After(time.Minute)
		cut.down.Store(false)
		if got, err := remote.Dispatch[receipt](t.Context(), client, place{Once: "k"}); err != nil || got.Count != 100 {
			t.Errorf("later: got %+v, %v", got, err)
		}
	})
}

func TestInATransactionEffectAndResultAreOne(t *testing.T) {
	w := newWorld(t)
	backend, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"), sqlitestore.Options{AutoMigrate: true})
	must(t, err)
	t.Cleanup(func() { must(t, backend.Close()) })
	w.store = store.New(backend, store.Options{})
	w.serve(t, func(ctx context.Context, c place) (receipt, error) {
		_, err := w.store.Append(ctx, "order-1", store.Any(), event.Pending{Type: "order.placed", Data: []byte(`{}`)})
		if c.Order == "bad" {
			return receipt{}, errors.Join(err, errSoldOut)
		}
		return receipt{Order: c.Order}, err
	}, remote.ServerOptions{InTransaction: true, Codes: remote.Codes{"sold_out": errSoldOut}})
	client := w.client(t, "c", remote.ClientOptions{Codes: remote.Codes{"sold_out": errSoldOut}})
	if _, err := remote.Dispatch[receipt](t.Context(), client, place{Order: "bad", Once: "k0"}); !errors.Is(err, errSoldOut) {
		t.Errorf("got %v", err)
	}
	for range 2 {
		if got, err := remote.Dispatch[receipt](t.Context(), client, place{Order: "o1", Once: "k1"}); err != nil || got.Order != "o1" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if head, err := w.store.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("the log has %d events (%v): want that of the one success", head, err)
	}
	if text := w.errors.text(); text != "" && !strings.Contains(text, "sold out") {
		t.Error(text)
	}
}
