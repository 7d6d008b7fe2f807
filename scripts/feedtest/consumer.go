package main

import (
	"context"
	"errors"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/subscription"
)

const (
	handledLedger   = "handled"
	publishedLedger = "published"
)

// errPoison is why a poisoned event fails.
var errPoison = errors.New("poisoned")

// consume is a consumer process: it follows the log until it is told to stop, or killed.
func (t *feedtest) consume(ctx context.Context) (err error) {
	s, err := openStore(ctx, t.store, false)
	if err != nil {
		return err
	}
	published, err := openLedger(t.folder, publishedLedger)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	handled, err := openLedger(t.folder, handledLedger)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	engine, err := events.New(events.Options{Backend: s.Backend(), Broker: paper{published}})
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer func() { err = errors.Join(err, engine.Close()) }()

	handler, err := subscription.New(engine.Store(), "handler", subscription.Handler(func(_ context.Context, e event.Recorded) error {
		if err := handled.note(string(e.Stream), e.Version); err != nil {
			return err
		}
		if e.Type == typePoisoned {
			return errPoison
		}
		return nil
	}), subscription.Options{
		Partitions: 4, Lease: lease, PollInterval: 100 * time.Millisecond, DeadLetters: engine.DeadLetters(),
		Retry: subscription.Retry{Attempts: 2, Initial: time.Millisecond}, OnError: func(error) {},
	})
	if err != nil {
		return err
	}
	relay, err := outbox.NewRelay(engine.Store(), "relay", engine.Broker(), engine.DeadLetters(), outbox.Options{
		Partitions: 4, Lease: lease, PollInterval: 100 * time.Millisecond, OnError: func(error) {},
		Retry: broker.Retry{Initial: 10 * time.Millisecond, Max: time.Second},
	})
	if err != nil {
		return err
	}
	m, err := newModels(engine.Store(), t.folder)
	if err != nil {
		return err
	}
	set, err := projection.NewSet(m.totals, m.table)
	if err != nil {
		return err
	}
	if err := errors.Join(
		engine.AddRunners(handler, relay, set),
	); err != nil {
		return err
	}
	return engine.Run(ctx)
}
