package eventsfx_test

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/fx"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/command"
	"lexigram.dev/events/config"
	"lexigram.dev/events/eventsfx"
	"lexigram.dev/events/schema"
)

type Deposited struct {
	Cents int `json:"cents"`
}

type Deposit struct {
	Account string
	Cents   int
}

// Accounts are the aggregates of the feature: balances.
type Accounts = aggregate.Decider[int]

func newAccounts(a *config.App) (*Accounts, error) {
	balance := aggregate.Fold[int]{Evolve: func(balance int, e any) (int, error) { return balance + e.(Deposited).Cents, nil }}
	return aggregate.NewDecider(a.Store(), a.Schema(), "account", balance, a.AggregateOptions())
}

func newDeposit(accounts *Accounts) eventsfx.Handler {
	return eventsfx.Command(func(ctx context.Context, c Deposit) (command.None, error) {
		_, err := accounts.Decide(ctx, c.Account, func(int) ([]any, error) {
			if c.Cents <= 0 {
				return nil, errors.New("nothing to deposit")
			}
			return []any{Deposited{c.Cents}}, nil
		})
		return command.None{}, err
	})
}

// A feature is an fx.Module like any other.
func Example() {
	feature := fx.Module("bank",
		fx.Provide(newAccounts),
		eventsfx.Handlers(eventsfx.Type[Deposited]("account.deposited", schema.Options{}), newDeposit),
	)
	var (
		bus      *command.Bus
		accounts *Accounts
	)
	app := fx.New(fx.NopLogger, eventsfx.Stub(), feature, fx.Populate(&bus, &accounts))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, cents := range []int{700, 0, 42} {
		_, err := bus.Dispatch(ctx, Deposit{"ada", cents})
		fmt.Println(err)
	}
	balance, err := accounts.Load(ctx, "ada")
	fmt.Println(balance.Value, err)
	fmt.Println(app.Stop(ctx))
	// Output:
	// <nil>
	// nothing to deposit
	// <nil>
	// 742 <nil>
	// <nil>
}
