package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/sqlitestore"
	"lexigram.dev/events/subscription"
)

// service is a program that runs beside the command line, on the same file.
type service struct {
	t     *testing.T
	store *store.Store
	stop  func()
}

// newService opens the shell's store, which is there already.
func newService(t *testing.T, s *shell) *service {
	t.Helper()
	backend, err := sqlitestore.Open(t.Context(), strings.TrimPrefix(s.store, "sqlite:"), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	svc := &service{t: t, store: store.New(backend, store.Options{}), stop: func() {}}
	t.Cleanup(func() {
		svc.stop()
		if err := svc.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return svc
}

// start runs something until stop.
func (svc *service) start(run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	svc.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			svc.t.Error(err)
		}
		svc.stop = func() {}
	}
}

// mailer is a subscription that cannot handle events with "bad" in their data while broken is set.
func (svc *service) mailer(broken *atomic.Bool) *subscription.Subscription {
	svc.t.Helper()
	handler := subscription.Handler(func(_ context.Context, e event.Recorded) error {
		if broken.Load() && strings.Contains(string(e.Data), "bad") {
			return errors.New("no such mailbox")
		}
		return nil
	})
	sub, err := subscription.New(svc.store, "mailer", handler, subscription.Options{
		PollInterval: 5 * time.Millisecond, Failure: subscription.FailureParkStream,
		Retry: subscription.Retry{Attempts: 1}, DeadLetters: deadletter.New(svc.store, deadletter.Options{}),
		OnError: func(error) {},
	})
	if err != nil {
		svc.t.Fatal(err)
	}
	return sub
}

// shows runs a command until what it prints holds all the words: what a program reports takes a moment.
func (s *shell) shows(words []string, args ...string) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		text := s.must(args...)
		missing := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.Contains(text, word) })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("lexevents %s never showed %q:\n%s", strings.Join(args, " "), missing, text)
		}
	}
}

func (svc *service) wait(sub interface {
	WaitFor(ctx context.Context, p event.Position) error
}, position event.Position,
) {
	svc.t.Helper()
	ctx, cancel := context.WithTimeout(svc.t.Context(), 20*time.Second)
	defer cancel()
	if err := sub.WaitFor(ctx, position); err != nil {
		svc.t.Fatal(err)
	}
}

func TestSubscriptionsAreListedAndSteeredFromOutside(t *testing.T) {
	s := newShell(t)
	s.append("order-1", "order.placed", `{"n": 1}`)
	has(t, s.must("subscriptions", "list"), "no subscription has ever run")
	svc := newService(t, s)
	var broken atomic.Bool
	sub := svc.mailer(&broken)
	svc.start(sub.Run)
	svc.wait(sub, 1)
	s.shows([]string{"NAME", "mailer", "live", "0 events"}, "subscriptions", "list")
	s.shows([]string{"PARTITION", "1 of 1"}, "subscriptions", "status", "mailer")

	has(t, s.must("subscriptions", "pause", "mailer"), "paused")
	s.shows([]string{"paused"}, "subscriptions", "status", "mailer")
	has(t, s.must("subscriptions", "resume", "mailer"), "resumed")
	s.append("order-2", "order.placed", `{"n": 2}`)
	svc.wait(sub, 2)

	has(t, s.must("subscriptions", "reset", "mailer", "--position", "1"), "goes on behind position 1")
	svc.wait(sub, 2)
	status := objects(t, s.must("subscriptions", "list", "--json"))
	if len(status) != 1 || status[0]["name"] != "mailer" {
		t.Errorf("got %v", status)
	}
	svc.stop()
	has(t, s.must("subscriptions", "list"), "stopped")
	has(t, s.must("subscriptions", "delete", "mailer"), "deleted")
	has(t, s.must("subscriptions", "list"), "no subscription has ever run")
	s.refuses(1, []string{"nosuch"}, "subscriptions", "status", "nosuch")
	s.refuses(1, []string{"nosuch"}, "subscriptions", "pause", "nosuch")
	s.refuses(2, []string{"--position"}, "subscriptions", "reset", "mailer", "--position", "-1")
	s.refuses(2, []string{"list", "status"}, "subscriptions")
}

func TestDeadLettersAreRetriedEditedAndDiscardedFromOutside(t *testing.T) {
	s := newShell(t)
	s.append("order-1", "order.placed", `{"bad": 1}`)
	s.append("order-1", "order.paid", `{"ok": 2}`)
	s.append("order-2", "order.placed", `{"bad": 3}`)
	svc := newService(t, s)
	var broken atomic.Bool
	broken.Store(true)
	sub := svc.mailer(&broken)
	svc.start(sub.Run)
	svc.wait(sub, 3)

	has(t, s.must("deadletters", "list"), "subscription/mailer/", "parked", "waiting", "no such mailbox", "order.paid")
	has(t, s.must("deadletters", "list", "--count"), "3 dead letters")
	has(t, s.must("deadletters", "list", "--count", "--state", "waiting", "--source", "subscription/mailer"), "1 dead letter")
	letters := objects(t, s.must("deadletters", "list", "--json"))
	if len(letters) != 3 {
		t.Fatalf("got %v", letters)
	}
	ids := make([]string, 3)
	for i := range letters {
		ids[i] = letters[i]["id"].(string)
	}
	has(t, s.must("deadletters", "show", ids[0]), "no such mailbox", `{"bad": 1}`, "order-1, version 1, position 1")

	s.refuses(1, []string{ids[0]}, "deadletters", "retry", ids[1]) // it waits behind the first
	failed := s.run("deadletters", "retry", ids[0], "--wait", "20s")
	if failed.code != 1 || !strings.Contains(failed.stderr, "failed again") {
		t.Errorf("got %+v", failed)
	}
	broken.Store(false)
	has(t, s.must("deadletters", "retry", ids[0], "--wait", "20s"), "handled")
	broken.Store(true)
	has(t, s.must("deadletters", "edit", ids[2], "--data", `{"good": 3}`), "retry requested")
	for len(objects(t, s.must("deadletters", "list", "--json"))) > 0 { // until the service has seen the requests
	}

	s.append("order-3", "order.placed", `{"bad": 4}`)
	svc.wait(sub, 4)
	s.refuses(2, []string{"say which"}, "deadletters", "discard")
	has(t, s.must("deadletters", "discard", "--source", "subscription/mailer"), "1 letter", "discarded")
	has(t, s.must("deadletters", "list"), "no dead letters")
	has(t, s.must("deadletters", "purge", "--older-than", "1h"), "0 letters")
	s.refuses(2, []string{"--older-than"}, "deadletters", "purge", "--older-than", "-1h")
	s.refuses(2, []string{"--state"}, "deadletters", "list", "--state", "lost")
	s.refuses(1, []string{"nosuch"}, "deadletters", "show", "nosuch")
}

type placed struct {
	N int `json:"n"`
}

func projectionStatus(t *testing.T, s *shell) (status projection.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.must("projections", "status", "sums", "--json")), &status); err != nil || status.Name != "sums" {
		t.Fatalf("got %+v, %v", status, err)
	}
	return status
}

func TestProjectionsAreRebuiltFromOutside(t *testing.T) {
	s := newShell(t)
	for i := range 20 {
		s.append("order-1", "order.placed", `{"n": `+string(rune('0'+i%10))+`}`)
	}
	has(t, s.must("projections", "list"), "no projection has ever run")
	svc := newService(t, s)
	registry := schema.NewRegistry()
	if err := schema.Register[placed](registry, "order.placed", schema.Options{}); err != nil {
		t.Fatal(err)
	}
	p := projection.New(svc.store, registry, "sums", projection.Options{PollInterval: 5 * time.Millisecond})
	docs := projection.NewDocuments[placed](p, "sums", projection.DocumentOptions[placed]{})
	projection.PerEntity(docs, func(sum *placed, e placed, _ event.Recorded) error {
		sum.N += e.N
		return nil
	})
	set, err := projection.NewSet(p)
	if err != nil {
		t.Fatal(err)
	}
	svc.start(set.Run)
	svc.wait(p, 20)
	s.shows([]string{"sums", "0 events"}, "projections", "list")
	has(t, s.must("projections", "rebuild", "sums"), "generation 2 is live")
	if sum, err := docs.Get(t.Context(), "1"); err != nil || sum.N != 90 {
		t.Errorf("got %+v, %v", sum, err)
	}
	has(t, s.must("projections", "status", "sums"), "GENERATION", "live", "previous", "20 of 20")
	has(t, s.must("projections", "switch-back", "sums"), "generation before")
	for status := projectionStatus(t, s); status.Live.Number != 1; status = projectionStatus(t, s) { // until the service has switched
	}
	has(t, s.must("projections", "pause", "sums"), "paused")
	has(t, s.must("projections", "status", "sums"), "paused")
	has(t, s.must("projections", "rebuild", "sums", "--detach"), "generation 3 begins")
	s.refuses(1, []string{"a rebuild is running already"}, "projections", "rebuild", "sums")
	has(t, s.must("projections", "cancel", "sums"), "cancelled")
	has(t, s.must("projections", "resume", "sums"), "resumed")
	has(t, s.must("projections", "reset", "sums"), "reset")
	svc.wait(p, 20)
	if sum, err := docs.Get(t.Context(), "1"); err != nil || sum.N != 90 {
		t.Errorf("after the reset: got %+v, %v", sum, err)
	}
	s.refuses(1, []string{"nosuch", "sums"}, "projections", "rebuild", "nosuch")
	s.refuses(1, []string{"running already"}, "projections", "delete", "sums")
	svc.stop()
	has(t, s.must("projections", "list"), "stopped")
	has(t, s.must("projections", "delete", "sums"), "deleted")
	has(t, s.must("projections", "list"), "no projection has ever run")
	has(t, s.must("subscriptions", "list"), "no subscription has ever run")
	for r, err := range svc.store.Scan(t.Context(), store.Scan{Bucket: "projection/sums/4/sums"}) {
		t.Errorf("left: %+v, %v", r, err)
	}
	s.refuses(2, []string{"--partitions"}, "projections", "rebuild", "sums", "--partitions", "-1")
}

func TestTheOutboxShowsItsBacklogFromOutside(t *testing.T) {
	s := newShell(t)
	s.append("order-1", "order.placed", `{"n": 1}`)
	s.append("order-2", "order.placed", `{"n": 2}`)
	has(t, s.must("outbox"), "no relay has ever run")
	svc := newService(t, s)
	messages := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	relay, err := outbox.NewRelay(svc.store, "orders", messages, deadletter.New(svc.store, deadletter.Options{}), outbox.Options{
		PollInterval: 5 * time.Millisecond, OnError: func(error) {},
		Map: func(e event.Recorded) ([]broker.Message, error) {
			if e.Stream == "order-2" {
				return nil, errors.New("no such topic")
			}
			return nil, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	svc.start(relay.Run)
	svc.wait(relay, 2)
	s.shows([]string{"orders", "live", "0 events", "1"}, "outbox")
	has(t, s.must("deadletters", "list", "--source", "outbox/orders"), "no such topic")
	svc.stop()
	s.append("order-3", "order.placed", `{"n": 3}`)
	if got := objects(t, s.must("outbox", "--json")); len(got) != 1 || got[0]["name"] != "orders" || got[0]["dead_letters"] != 1.0 {
		t.Errorf("got %v", got)
	}
	has(t, s.must("outbox"), "stopped", "1 event")
	s.refuses(2, []string{"unknown command"}, "outbox", "now")
}
