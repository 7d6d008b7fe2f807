package main

import (
	"errors"
	"fmt"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/schema"
)

// The refusals. They are answers, not failures: trying again would not help.
var (
	ErrNoAccount = errors.New("there is no such account")
	ErrNoMoney   = errors.New("not enough money")
	ErrFrozen    = errors.New("the account is frozen")
	ErrTakenBack = errors.New("the move was taken back before it arrived")
	ErrNoAmount  = errors.New("an amount is positive")
)

// Opened says that an account exists, with what was paid in.
type Opened struct {
	Cents int64 `json:"cents"`
}

// Moved says that money came (positive) or went (negative). The key is that of the saga's step, so that a step that is
// tried again moves nothing twice.
type Moved struct {
	Key   string `json:"key"`
	Cents int64  `json:"cents"`
}

// Reversed says that a move was taken back, or, with 0 cents, that it is refused should it still arrive.
type Reversed struct {
	Key   string `json:"key"`
	Cents int64  `json:"cents"` // what the account gets
}

// Frozen says that nothing may be paid in or out.
type Frozen struct{}

// Account is a bank account. Its events are its whole memory, that of the keys included.
type Account struct {
	aggregate.Root
	open, frozen bool
	balance      int64
	moves        map[string]int64 // by key; 0: taken back
}

// Apply implements aggregate.Aggregate.
func (a *Account) Apply(change any) error {
	switch e := change.(type) {
	case Opened:
		a.open, a.balance, a.moves = true, e.Cents, map[string]int64{}
	case Moved:
		a.balance += e.Cents
		a.moves[e.Key] = e.Cents
	case Reversed:
		a.balance += e.Cents
		a.moves[e.Key] = 0
	case Frozen:
		a.frozen = true
	default:
		return fmt.Errorf("account: unknown event %T", change)
	}
	return nil
}

// Open begins the account, once.
func (a *Account) Open(cents int64) error {
	if a.open {
		return nil
	}
	return aggregate.Record(a, Opened{Cents: cents})
}

// Freeze stops all moves, except those that take something back.
func (a *Account) Freeze() error {
	if !a.open {
		return ErrNoAccount
	}
	return aggregate.Record(a, Frozen{})
}

// Move pays in, or out with negative cents, once for each key.
func (a *Account) Move(key string, cents int64) error {
	moved, known := a.moves[key]
	switch {
	case known && moved == 0:
		return ErrTakenBack
	case known:
		return nil
	case !a.open:
		return ErrNoAccount
	case a.frozen:
		return ErrFrozen
	case a.balance+cents < 0:
		return ErrNoMoney
	}
	return aggregate.Record(a, Moved{Key: key, Cents: cents})
}

// Reverse takes a move back, or keeps it from happening.
func (a *Account) Reverse(key string) error {
	moved, known := a.moves[key]
	if !a.open || known && moved == 0 {
		return nil
	}
	return aggregate.Record(a, Reversed{Key: key, Cents: -moved})
}

func registerEvents(r *schema.Registry) error {
	return errors.Join(
		schema.Register[Opened](r, "account.opened", schema.Options{}),
		schema.Register[Moved](r, "account.moved", schema.Options{}),
		schema.Register[Reversed](r, "account.reversed", schema.Options{}),
		schema.Register[Frozen](r, "account.frozen", schema.Options{}),
	)
}
