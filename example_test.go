package events_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events"
	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/command"
	"lexigram.dev/events/query"
	"lexigram.dev/events/schema"
)

type Deposited struct{ Amount int }

type Deposit struct {
	Account string
	Amount  int
}

type BalanceOf struct{ Account string }

func Example() {
	engine, err := events.New(events.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	balance := aggregate.Fold[int]{Evolve: func(balance int, e any) (int, error) { return balance + e.(Deposited).Amount, nil }}
	accounts, err := aggregate.NewDecider(engine.Store(), engine.Schema(), "account", balance, aggregate.Options{})
	err = errors.Join(err,
		schema.Register[Deposited](engine.Schema(), "account.deposited", schema.Options{}),
		command.Handle(engine.Commands(), func(ctx context.Context, c Deposit) (command.None, error) {
			_, err := accounts.Decide(ctx, c.Account, func(int) ([]any, error) { return []any{Deposited{c.Amount}}, nil })
			return command.None{}, err
		}),
		query.Handle(engine.Queries(), func(ctx context.Context, q BalanceOf) (int, error) {
			state, err := accounts.Load(ctx, q.Account)
			return state.Value, err
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for _, amount := range []int{10, 5} {
		if _, err := command.Dispatch[command.None](ctx, engine.Commands(), Deposit{Account: "ada", Amount: amount}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(query.Dispatch[int](ctx, engine.Queries(), BalanceOf{Account: "ada"}))
	// Output: 15 <nil>
}
