package config_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/config"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// Place is a command.
type Place struct {
	Order string `json:"order" validate:"required"`
}

// Placed is what comes of it.
type Placed struct {
	Order string `json:"order"`
}

// A command appends an event, and the outbox brings it to a handler of the event bus.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cfg, err := config.Load(config.Source{Environ: []string{"LEX_EVENTS__NAME=shop", "LEX_EVENTS__OUTBOX__POLL_INTERVAL=100ms"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := config.Open(ctx, cfg, config.Options{
		Stores: []store.Driver{memstore.Driver()}, Brokers: []broker.Driver{membroker.Driver()}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = errors.Join(
		schema.Register[Placed](app.Schema(), "order.placed", schema.Options{}),
		command.Handle(app.Commands(), func(ctx context.Context, c Place) (command.None, error) {
			stored, err := app.Schema().Encode(Placed(c))
			if err == nil {
				_, err = app.Store().Append(ctx, event.StreamID("order-"+c.Order), store.NoStream(), stored)
			}
			return command.None{}, err
		}),
		eventbus.On(app.Bus(), "mailer", func(_ context.Context, e Placed, m eventbus.Message) error {
			fmt.Println("mail about order", e.Order, "from", m.Source)
			stop()
			return nil
		}, eventbus.HandlerOptions{}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := command.Dispatch[command.None](ctx, app.Commands(), Place{}); err != nil {
		fmt.Println(err)
	}
	if _, err := command.Dispatch[command.None](ctx, app.Commands(), Place{Order: "7"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(app.Run(ctx), app.Close())
	// Output:
	// command config_test.Place: invalid: order: is required
	// mail about order 7 from /shop
	// <nil> <nil>
}
