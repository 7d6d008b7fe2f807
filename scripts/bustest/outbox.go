package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/event"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/store"
)

// The types of events.
const (
	typeAdded    = "account.added"
	typePoisoned = "account.poisoned"
)

// relayLease is short, so that what a killed relay has held goes on soon.
const relayLease = 2 * time.Second

func openStore(ctx context.Context, url string, migrate bool) (*store.Store, error) {
	backend, err := store.OpenURL(ctx, url, drivers.All(), store.OpenOptions{AutoMigrate: migrate})
	if err != nil {
		return nil, err
	}
	return store.New(backend, store.Options{}), nil
}

// relay is a relay process: it publishes what the store's log holds until it is told to stop, or killed.
func (t task) relay(ctx context.Context) (err error) {
	s, err := openStore(ctx, t.Store, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b, err := t.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	r, err := outbox.NewRelay(s, "relay", b, deadletter.New(s, deadletter.Options{}), outbox.Options{
		Topic: func(event.Recorded) string { return t.Name }, Partitions: 4, Lease: relayLease, PollInterval: 100 * time.Millisecond,
		PublishTimeout: 10 * time.Second, OnError: func(error) {},
		Retry: broker.Retry{Initial: 20 * time.Millisecond, Max: time.Second},
	})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// write appends events to the store, over time, until there are as many as was asked for. A stream's versions are the
// numbers of its messages.
func (t *bustest) write(ctx context.Context, s *store.Store) error {
	const each = 20
	begun := time.Now()
	for appended := 0; appended < t.messages; {
		stream := event.StreamID(fmt.Sprintf("account-%d", appended/each%t.keys))
		pending := make([]event.Pending, min(each, t.messages-appended))
		for i := range pending {
			data, err := json.Marshal(appended + i)
			if err != nil {
				return err
			}
			pending[i] = event.Pending{Type: typeAdded, Data: data}
			if (appended+i)%poisonEvery == 0 {
				pending[i].Type = typePoisoned
			}
		}
		if _, err := s.Append(ctx, stream, store.Any(), pending...); err != nil {
			return err
		}
		appended += len(pending)
		due := begun.Add(time.Duration(float64(t.lasts) * float64(appended) / float64(t.messages)))
		if !wait(ctx, time.Until(due)) {
			return ctx.Err()
		}
	}
	return nil
}

// readLog gives what the log holds in the form of a ledger: what the consumers must have handled.
func (t *bustest) readLog(ctx context.Context, s *store.Store, want *follower) error {
	for e, err := range s.ReadLog(ctx, store.LogRead{}) {
		if err != nil {
			return err
		}
		if err := want.line(string(appendLine(nil, string(e.Stream), int(e.Version), e.Type == typePoisoned))); err != nil {
			return err
		}
	}
	letters, err := deadletter.New(s, deadletter.Options{}).Count(ctx, deadletter.Filter{})
	if err != nil {
		return err
	}
	if letters > 0 {
		return fmt.Errorf("the relay has given up %d events", letters)
	}
	return nil
}
