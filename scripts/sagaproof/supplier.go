package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
)

// attemptTimeout is how long a worker waits for a supplier.
const attemptTimeout = time.Second

// wild is a supplier who does his work in the ledger, and fails in all the ways in which suppliers do. Of a thousand
// requests about two hundred go wrong.
type wild struct {
	ledger   *ledger
	step     string
	declines bool // now and then he says no, for good
	stubborn bool // from some orders he takes nothing back before he is repaired
	sabotage string
	calls    *sync.WaitGroup // those that run, also when nobody waits for them any more
}

var (
	errAway     = errors.New("the supplier is away; nothing was done")
	errDeclined = errors.New("the supplier declines")
	errLost     = errors.New("the answer was lost")
	errStubborn = errors.New("the supplier takes nothing back")
)

// suppliers are those of a worker.
func suppliers(l *ledger, sabotage string) (s fulfilment.Suppliers, calls *sync.WaitGroup) {
	calls = &sync.WaitGroup{}
	one := func(step string, declines, stubborn bool) wild {
		return wild{ledger: l, step: step, declines: declines, stubborn: stubborn, sabotage: sabotage, calls: calls}
	}
	return fulfilment.Suppliers{
		Warehouse: one("reserve", true, false), Payments: one("charge", true, true), Carrier: one("ship", true, false),
		Mail: one("notify", false, false), Books: one("confirm", true, false),
	}, calls
}

// Do implements fulfilment.Supplier.
func (w wild) Do(ctx context.Context, o fulfilment.Order, key event.ID) (string, error) {
	if w.sabotage == breakKeys {
		key = event.NewID()
	}
	if w.declines && rand.IntN(1000) < 25 {
		return "", saga.Permanent(errDeclined)
	}
	err := w.work(ctx, func() error { return w.ledger.do(key, o.ID, w.step) })
	if errors.Is(err, errTakenBack) {
		err = saga.Permanent(err)
	}
	return w.step + " " + key.String(), err
}

// Undo implements fulfilment.Supplier.
func (w wild) Undo(ctx context.Context, o fulfilment.Order, done, key event.ID) error {
	if w.sabotage == breakCompensation && rand.IntN(3) == 0 {
		return nil
	}
	if w.stubborn && refusesToUndo(o.ID) {
		if repaired, err := w.ledger.repaired(o.ID); err != nil || !repaired {
			return errors.Join(errStubborn, err)
		}
	}
	return w.work(ctx, func() error { return w.ledger.undo(key, done, o.ID, w.step) })
}

// work does something as a supplier does.
func (w wild) work(ctx context.Context, do func() error) error {
	w.calls.Add(1)
	defer w.calls.Done()
	switch dice := rand.IntN(1000); {
	case dice < 50:
		return errAway
	case dice < 90: // done, but nobody hears of it
		if err := errors.Join(errLost, do()); w.sabotage != breakUnknown {
			return saga.Unknown(err)
		}
		return saga.Permanent(errLost)
	case dice < 100:
		if err := do(); err != nil {
			return saga.Unknown(err)
		}
		panic("the supplier's client has a bug")
	case dice < 140: // done in time, answered late
		err := do()
		overstay(ctx)
		return err
	case dice < 180: // he begins to work when nobody waits any more
		overstay(ctx)
		return do()
	case dice < 200: // no answer, and nothing done
		<-ctx.Done()
		return saga.Unknown(ctx.Err())
	}
	if err := do(); err != nil {
		return saga.Unknown(err)
	}
	return nil
}

// overstay waits until the caller has given up, and some time more: the next attempts, or the compensation, come first now
// and then.
func overstay(ctx context.Context) {
	<-ctx.Done()
	wait(context.Background(), rand.N(attemptTimeout))
}
