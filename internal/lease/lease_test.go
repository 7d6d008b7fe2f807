package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

const ttl = 10 * time.Second

func memory(t *testing.T) store.Backend {
	b := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func holder(b store.Backend, owner string) *lease.Holder {
	return lease.NewHolder(store.New(b, store.Options{}), "leases", owner, ttl)
}

func acquire(t *testing.T, h *lease.Holder) *lease.Lease {
	t.Helper()
	l, err := h.Acquire(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestALeaseHasOneHolder(t *testing.T) {
	b := memory(t)
	first := acquire(t, holder(b, "ann"))
	var held *lease.HeldError
	if _, err := holder(b, "bob").Acquire(t.Context(), "k"); !errors.As(err, &held) || !errors.Is(err, lease.ErrHeld) || held.Owner != "ann" {
		t.Fatalf("got %v", err)
	}
	if _, err := holder(b, "ann").Acquire(t.Context(), "k"); !errors.Is(err, lease.ErrHeld) {
		t.Errorf("another holder with the same owner: %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := acquire(t, holder(b, "bob")); second.Epoch() <= first.Epoch() {
		t.Errorf("epoch %d came after %d", second.Epoch(), first.Epoch())
	}
	if err := first.Renew(t.Context()); !errors.Is(err, lease.ErrLost) {
		t.Errorf("renewed after the release: %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Errorf("the second release: %v", err)
	}
	if _, err := holder(b, "cid").Acquire(t.Context(), "k"); !errors.As(err, &held) || held.Owner != "bob" {
		t.Errorf("the second release took bob's lease away: %v", err)
	}
}

func TestOfManyThatWantALeaseOneGetsIt(t *testing.T) {
	b := memory(t)
	var mu sync.Mutex
	winners := 0
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			_, err := holder(b, fmt.Sprint(i)).Acquire(t.Context(), "k")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				winners++
			} else if !errors.Is(err, lease.ErrHeld) {
				t.Error(err)
			}
		})
	}
	if all.Wait(); winners != 1 {
		t.Errorf("%d have it", winners)
	}
}

func TestALeaseLastsAsLongAsItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory(t)
		first := acquire(t, holder(b, "ann"))
		for range 5 {
			time.Sleep(ttl - time.Second) //nolint:forbidigo // in a bubble
			if err := first.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(first.Until()); left != ttl {
				t.Errorf("it lasts for %v", left)
			}
		}
		time.Sleep(ttl) //nolint:forbidigo // in a bubble
		if err := first.Renew(t.Context()); !errors.Is(err, lease.ErrLost) {
			t.Errorf("renewed after its end: %v", err)
		}
		if second := acquire(t, holder(b, "bob")); second.Epoch() <= first.Epoch() {
			t.Errorf("epoch %d came after %d", second.Epoch(), first.Epoch())
		}
	})
}

// lossy does what it is asked to, and then says that it does not know.
type lossy struct {
	store.Backend
	lose    bool
	mute    bool // reads fail too
	applied int
}

var errLossy = fmt.Errorf("%w: the answer was lost", store.ErrUnavailable)

func (l *lossy) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	revisions, err := l.Backend.Apply(ctx, ops)
	l.applied++
	if l.lose {
		return nil, errLossy
	}
	return revisions, err
}

func (l *lossy) Get(ctx context.Context, bucket, key string) (store.Record, error) {
	if l.mute {
		return store.Record{}, errLossy
	}
	return l.Backend.Get(ctx, bucket, key)
}

func TestLostAnswersAreFoundOut(t *testing.T) {
	l := &lossy{Backend: memory(t)}
	h := holder(l, "ann")
	l.lose = true
	held := acquire(t, h)
	if err := held.Renew(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a renewal without an answer: %v", err)
	}
	l.lose = false
	if err := held.Renew(t.Context()); err != nil {
		t.Errorf("the renewal after it: %v", err)
	}
	if err := held.Release(t.Context()); err != nil {
		t.Fatal(err)
	}

	l.lose, l.mute = true, true
	if _, err := h.Acquire(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("nothing is known: %v", err)
	}
	l.lose, l.mute = false, false
	again := acquire(t, h)
	if again.Epoch() <= held.Epoch() {
		t.Errorf("epoch %d came after %d", again.Epoch(), held.Epoch())
	}
	if err := again.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	l.lose = true
	if err := again.Release(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a release without an answer: %v", err)
	}
	l.lose = false
	if err := again.Release(t.Context()); err != nil {
		t.Errorf("the release after it: %v", err)
	}
}

func TestADamagedRecordIsCorrupt(t *testing.T) {
	b := memory(t)
	s := store.New(b, store.Options{})
	if _, err := s.Apply(t.Context(), store.Put("leases", "k", []byte("{")), store.Put("leases", "g/lease/00000", []byte("{}")), store.Put("leases", "g/what/1", []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if _, err := holder(b, "ann").Acquire(t.Context(), "k"); err == nil || errors.Is(err, lease.ErrHeld) {
		t.Errorf("acquired: %v", err)
	}
	if _, _, err := lease.Join(holder(b, "ann"), "g", 1).Plan(t.Context()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("planned: %v", err)
	}
	if _, err := lease.Look(t.Context(), s, "leases", "g"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("looked: %v", err)
	}
}
