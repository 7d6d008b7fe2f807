package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// running is a subscription that runs, and the events it has handled.
type running struct {
	*subscription.Subscription
	handled chan event.Position
	stop    func()
}

func subscribe(t *testing.T, s *store.Store) *running {
	t.Helper()
	r := &running{handled: make(chan event.Position, 1000)}
	var err error
	r.Subscription, err = subscription.New(s, "mailer", subscription.Handler(func(_ context.Context, e event.Recorded) error {
		r.handled <- e.Position
		return nil
	}), subscription.Options{Lease: time.Minute, CheckpointEvery: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return r
}

func TestASubscriptionGoesOnInTheTargetWhereItWasInTheSource(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		from, to := memory(), store.New(open(), store.Options{})
		for i := range 200 { // revisions, and so epochs of leases, are far on in the source
			if _, err := from.Apply(t.Context(), store.Put("b", "k", fmt.Append(nil, i))); err != nil {
				t.Fatal(err)
			}
		}
		fill(t, from, 10)
		before := subscribe(t, from)
		defer before.stop()
		if err := before.WaitFor(t.Context(), head(t, from)); err != nil {
			t.Fatal(err)
		}
		for p := head(t, from); ; { // the checkpoint is written behind the events
			status, err := before.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if status.Position == p {
				break
			}
			<-time.After(time.Millisecond)
		}
		done := mustCopy(t, from, to, migrate.Options{Records: true}) // it still holds its lease
		if done.Records < 2 {
			t.Errorf("copied %+v", done)
		}
		wantSame(t, from, to, migrate.Comparison{Records: true})
		mustAppend(t, to, "thing-9", event.Pending{Type: "x"})
		after := subscribe(t, to)
		defer after.stop()
		if got, want := <-after.handled, done.Position+1; got != want {
			t.Errorf("the first event that it handles in the target is at position %d, want %d", got, want)
		}
	})
}

func TestRecordsOfTheTargetBecomeThoseOfTheSource(t *testing.T) {
	from, to := memory(), memory()
	put := func(s *store.Store, ops ...store.Op) {
		t.Helper()
		if _, err := s.Apply(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1200 {
		put(from, store.Put("b", fmt.Sprintf("k-%04d", i), []byte("v")))
	}
	put(from, store.Put("leases", "l", []byte(`{"owner":"a","token":"b"}`)).For(time.Hour), store.Put("expiring", "e", []byte("v")).For(time.Hour))
	first := mustCopy(t, from, to, migrate.Options{Records: true})
	if first.Records != 1201 {
		t.Errorf("copied %d records, want 1201: the lease stays", first.Records)
	}
	if buckets, err := to.Buckets(t.Context()); err != nil || slices.Contains(buckets, "leases") {
		t.Errorf("the target has the buckets %q, %v", buckets, err)
	}
	put(from, store.Delete("b", "k-0007"), store.Put("b", "k-0008", []byte("w")), store.Put("other", "k", nil))
	if again := mustCopy(t, from, to, migrate.Options{Records: true}); again.Records != 3 {
		t.Errorf("copied %d records, want 3", again.Records)
	}
	wantSame(t, from, to, migrate.Comparison{Records: true})
	put(to, store.Put("b", "k-0001", []byte("by somebody who uses the target")))
	put(from, store.Put("b", "k-0002", []byte("x")))
	if _, err := migrate.Copy(t.Context(), from, to, migrate.Options{Records: true}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a record that is newer in the target: %v", err)
	}
}
