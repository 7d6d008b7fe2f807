package remote_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/command/remote"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type Charge struct {
	Card   string `json:"card"`
	Amount int    `json:"amount"`
}

type Charged struct {
	Receipt string `json:"receipt"`
}

var ErrNoMoney = errors.New("not enough money")

// A server charges cards for others, however often they ask once for each key. Here both share a process.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	b := broker.New(membroker.New(membroker.Options{}), broker.Options{})
	defer func() { _ = b.Close() }()
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	commands := schema.NewRegistry() // of what may be sent, in both processes
	codes := remote.Codes{"no_money": ErrNoMoney}

	bus := command.NewBus(command.Options{})
	err := errors.Join(
		schema.Register[Charge](commands, "card.charge", schema.Options{}),
		command.Handle(bus, func(_ context.Context, c Charge) (Charged, error) {
			if c.Amount > 100 {
				return Charged{}, fmt.Errorf("card %s: %w", c.Card, ErrNoMoney)
			}
			fmt.Println("charging", c.Amount)
			return Charged{Receipt: "R1"}, nil
		}))
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	server, serverErr := remote.NewServer(b, bus, commands, s, "cards", remote.ServerOptions{Codes: codes})
	client, clientErr := remote.NewClient(b, commands, "cards", "shop-1", remote.ClientOptions{Codes: codes})
	if err := errors.Join(err, serverErr, clientErr, server.Declare(ctx)); err != nil {
		fmt.Println(err)
		return
	}
	running.Go(func() { _ = server.Run(ctx) })
	running.Go(func() { _ = client.Run(ctx) })

	for range 2 {
		charged, err := remote.Dispatch[Charged](ctx, client, remote.Request{Command: Charge{Card: "7", Amount: 12}, IdempotencyKey: "order-1"})
		fmt.Println(charged.Receipt, err)
	}
	_, err = remote.Dispatch[Charged](ctx, client, Charge{Card: "7", Amount: 1000})
	fmt.Println(err, errors.Is(err, ErrNoMoney))
	// Output:
	// charging 12
	// R1 <nil>
	// R1 <nil>
	// remote command card.charge: card 7: not enough money true
}
