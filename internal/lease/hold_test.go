package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func TestALeaseThatIsHeldLastsUntilItIsStoppedAlsoBeyondItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := acquire(t, holder(memory(t), "ann"))
		ctx, cancel := context.WithCancel(t.Context())
		working, stop := l.Hold(ctx, func(err error) { t.Error(err) })
		cancel()
		time.Sleep(10 * ttl) //nolint:forbidigo // in a bubble
		if working.Err() == nil || time.Until(l.Until()) <= 0 {
			t.Errorf("the work's context has ended: %v; the lease lasts %v", working.Err(), time.Until(l.Until()))
		}
		stop()
		time.Sleep(ttl + time.Second) //nolint:forbidigo // in a bubble
		if err := l.Renew(t.Context()); !errors.Is(err, lease.ErrLost) {
			t.Errorf("after stop: got %v, want ErrLost", err)
		}
	})
}

func TestWorkEndsWithTheLeaseThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memstore.New(memstore.Options{})
		defer b.Close()
		l := acquire(t, holder(b, "ann"))
		told := make(chan error, 1)
		working, stop := l.Hold(t.Context(), func(err error) { told <- err })
		defer stop()
		if _, err := store.New(b, store.Options{}).Apply(t.Context(), store.Delete("leases", "k")); err != nil {
			t.Fatal(err)
		}
		<-working.Done()
		if err := <-told; !errors.Is(err, lease.ErrLost) {
			t.Errorf("told %v, want ErrLost", err)
		}
	})
}
