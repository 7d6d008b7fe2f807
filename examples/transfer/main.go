// Transfer is an example of a business process: money moves between two accounts, each an aggregate of its own, so no
// single append can move it. A saga does, and gives it back where the second half fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := tell(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "transfer:", err)
		os.Exit(1)
	}
}

// customers gives the five of the story, and forty more. They begin with 1,000.00 each.
func customers() []string {
	names := []string{"ada", "bob", "cleo", "dan", "eve"}
	for i := range 40 {
		names = append(names, fmt.Sprintf("customer%02d", i))
	}
	return names
}

// teller tells the story.
type teller struct {
	w        io.Writer
	accounts *Accounts
	sagas    *saga.Set
}

// tell plays the story and writes it to w.
func tell(ctx context.Context, w io.Writer) (err error) {
	engine, err := events.New(events.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	accounts, err := aggregate.NewRepository[Account](engine.Store(), engine.Schema(), "account", aggregate.Options{
		Retry: aggregate.Retry{Attempts: 100},
	})
	if err = errors.Join(err, registerEvents(engine.Schema())); err != nil {
		return err
	}
	transfer, err := defineTransfer(accounts, 200*time.Millisecond)
	if err != nil {
		return err
	}
	sagas, err := engine.AddSagas(saga.Options{OnError: func(error) {}}, transfer) // refusals are a part of the story
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	running := make(chan error, 1)
	go func() { running <- engine.Run(ctx) }()
	t := teller{w: w, accounts: accounts, sagas: sagas}
	err = errors.Join(t.open(ctx), t.few(ctx), t.many(ctx, 200))
	stop()
	return errors.Join(err, <-running)
}

func (t teller) say(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

func (t teller) open(ctx context.Context) error {
	for _, who := range customers() {
		if _, err := t.accounts.Update(ctx, who, func(a *Account) error { return a.Open(100_000) }); err != nil {
			return err
		}
	}
	_, err := t.accounts.Update(ctx, "eve", (*Account).Freeze)
	t.say("%d accounts with 1,000.00 each; eve's is frozen.", len(customers()))
	return err
}

// few shows one transfer of each kind.
func (t teller) few(ctx context.Context) error {
	for _, try := range []struct {
		id      string
		order   Transfer
		approve string
	}{
		{"steady", Transfer{From: "ada", To: "bob", Cents: 30_000}, ""},
		{"frozen", Transfer{From: "ada", To: "eve", Cents: 20_000}, ""},
		{"beyond", Transfer{From: "bob", To: "ada", Cents: 140_000}, ""},
		{"agreed", Transfer{From: "bob", To: "cleo", Cents: 90_000}, "dora"},
		{"silent", Transfer{From: "cleo", To: "dan", Cents: 60_000}, ""},
	} {
		if err := t.sagas.Start(ctx, "transfer", try.id, try.order, saga.StartOptions{Correlation: try.order.From}); err != nil {
			return err
		}
		if try.approve != "" {
			if err := t.sagas.Control().Signal(ctx, "transfer", try.id, "approved", try.approve, event.ID{}); err != nil {
				return err
			}
		}
		d, err := t.ended(ctx, try.id)
		if err != nil {
			return err
		}
		t.say("\n%s → %s %d.%02d: %s", try.order.From, try.order.To, try.order.Cents/100, try.order.Cents%100, strings.TrimSpace(string(d.Status)+" "+d.Error))
		for _, m := range d.History {
			t.say("  %s", strings.TrimSpace(strings.ReplaceAll(m.What, "_", " ")+" "+m.Step))
		}
	}
	return nil
}

// many sends transfers between all accounts at the same time, and counts the money afterwards.
func (t teller) many(ctx context.Context, n int) error {
	names := customers()
	for i := range n {
		from, step := rand.IntN(len(names)), 1+rand.IntN(len(names)-1)
		order := Transfer{From: names[from], To: names[(from+step)%len(names)], Cents: 1 + rand.Int64N(approvalFrom-1)}
		if err := t.sagas.Start(ctx, "transfer", fmt.Sprintf("many-%d", i), order, saga.StartOptions{Correlation: "many"}); err != nil {
			return err
		}
	}
	var completed, compensated int
	if err := every(ctx, 50*time.Millisecond, func() (done bool, err error) {
		completed, compensated = 0, 0
		for instance, err := range t.sagas.Control().List(ctx, saga.Filter{Saga: "transfer", Correlation: "many"}) {
			if err != nil {
				return false, err
			}
			switch instance.Status {
			case saga.StatusCompleted:
				completed++
			case saga.StatusCompensated:
				compensated++
			}
		}
		return completed+compensated == n, nil
	}); err != nil {
		return err
	}
	t.say("\n%d transfers at the same time: %d completed, %d taken back.", n, completed, compensated)
	sum := int64(0)
	for _, who := range names {
		a, err := t.accounts.Load(ctx, who)
		if err != nil {
			return err
		}
		if a.balance < 0 {
			return fmt.Errorf("%s has %d cents", who, a.balance)
		}
		sum += a.balance
	}
	t.say("All accounts together hold %d.%02d.", sum/100, sum%100)
	return nil
}

// ended waits for the end of a transfer.
func (t teller) ended(ctx context.Context, id string) (d saga.Detail, err error) {
	err = every(ctx, 5*time.Millisecond, func() (bool, error) {
		d, err = t.sagas.Control().Get(ctx, "transfer", id)
		return d.Status.Ended(), err
	})
	return d, err
}

// every asks again and again until the answer is yes.
func every(ctx context.Context, pause time.Duration, ask func() (done bool, err error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
