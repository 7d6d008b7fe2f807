package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
)

// shop is the service: the engine and what hangs on it.
type shop struct {
	engine *events.Engine
	models *readModels
	live   *liveFeed
}

// newShop puts the service together. It owns the backend, also when it fails.
func newShop(ctx context.Context, backend store.Backend, log *slog.Logger) (*shop, error) {
	engine, err := events.New(events.Options{Backend: backend, CommandTimeout: 10 * time.Second})
	if err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	s := &shop{engine: engine, live: newLiveFeed()}
	if err := s.assemble(ctx, log); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return s, nil
}

func (s *shop) assemble(ctx context.Context, log *slog.Logger) error {
	e := s.engine
	if err := registerEvents(e.Schema()); err != nil {
		return err
	}
	if err := registerCommands(e.Commands(), e.Store(), e.Schema()); err != nil {
		return err
	}

	// The log → read models.
	s.models = newReadModels(e.Store(), e.Schema(), projection.Options{DeadLetters: e.DeadLetters()})
	set, err := projection.NewSet(s.models.list, s.models.daily)
	if err != nil {
		return err
	}

	// The log → outbox → broker → handlers.
	relay, err := outbox.NewRelay(e.Store(), "orders", e.Broker(), e.DeadLetters(), outbox.Options{
		Filter: store.Filter{Categories: []string{category}},
	})
	if err != nil {
		return err
	}
	bus, err := eventbus.New(e.Broker(), e.Schema(), "shop", eventbus.Options{Store: e.Store(), Topics: []string{"events." + category}})
	if err != nil {
		return err
	}
	if err := errors.Join(
		eventbus.On(bus, "notify-customer", notifyCustomer(log), eventbus.HandlerOptions{Deduplicate: 24 * time.Hour}),
		eventbus.OnAll(bus, "live-page", s.live.publish, eventbus.HandlerOptions{}),
		bus.Declare(ctx), // before the relay publishes
	); err != nil {
		return err
	}
	return e.AddRunners(set, bus, relay)
}

// notifyCustomer stands for a mail: it is sent once for each shipped order, however often the event is delivered.
func notifyCustomer(log *slog.Logger) func(ctx context.Context, e Shipped, m eventbus.Message) error {
	return func(ctx context.Context, e Shipped, m eventbus.Message) error {
		log.DebugContext(ctx, "mail: your order is on its way", slog.String("order", m.Event.Stream.Key()), slog.String("tracking", e.Tracking))
		return nil
	}
}
