package main

import (
	"context"
	"errors"
	"time"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/saga"
)

// Transfer is what the saga carries along.
type Transfer struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Cents    int64  `json:"cents"`
	Approved string `json:"approved,omitempty"` // by whom
}

// approvalFrom is the amount in cents from which on a person has to agree.
const approvalFrom = 50_000

// Accounts are the bank's accounts.
type Accounts = aggregate.Repository[Account]

// defineTransfer is the table of what a transfer does. Money that has left one account and cannot reach the other one goes
// back, whatever happens to this program in the meantime.
func defineTransfer(accounts *Accounts, within time.Duration) (*saga.Definition[Transfer], error) {
	bank := bank{accounts}
	return saga.Define("transfer", 1,
		saga.Step[Transfer]{Name: "withdraw", Action: bank.withdraw, Compensation: bank.giveBack},
		saga.Step[Transfer]{
			Name: "approve",
			When: func(t Transfer) bool { return t.Cents >= approvalFrom },
			Await: saga.Await[Transfer]{
				Signal: "approved", Within: within,
				Receive: saga.Receiver(func(t *Transfer, by string) error { t.Approved = by; return nil }),
			},
		},
		saga.Step[Transfer]{Name: "deposit", Action: bank.deposit, Compensation: bank.takeBack},
	)
}

// bank has the actions. Each is one aggregate's update, in one append.
type bank struct{ accounts *Accounts }

func (b bank) withdraw(ctx context.Context, t *Transfer) error {
	if t.Cents <= 0 {
		return saga.Permanent(ErrNoAmount)
	}
	return b.move(ctx, t.From, -t.Cents)
}

func (b bank) deposit(ctx context.Context, t *Transfer) error  { return b.move(ctx, t.To, t.Cents) }
func (b bank) giveBack(ctx context.Context, t *Transfer) error { return b.reverse(ctx, t.From) }
func (b bank) takeBack(ctx context.Context, t *Transfer) error { return b.reverse(ctx, t.To) }

func (b bank) move(ctx context.Context, account string, cents int64) error {
	info, _ := saga.InfoFrom(ctx)
	_, err := b.accounts.Update(ctx, account, func(a *Account) error { return a.Move(info.Key.String(), cents) })
	for _, refusal := range []error{ErrNoAccount, ErrNoMoney, ErrFrozen, ErrTakenBack} {
		if errors.Is(err, refusal) {
			return saga.Permanent(err)
		}
	}
	return err
}

func (b bank) reverse(ctx context.Context, account string) error {
	info, _ := saga.InfoFrom(ctx)
	_, err := b.accounts.Update(ctx, account, func(a *Account) error { return a.Reverse(info.Undoes.String()) })
	return err
}
