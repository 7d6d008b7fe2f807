package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// fulfilSettings say how to fulfil orders.
type fulfilSettings struct {
	store     string
	suppliers string // one of kinds
	orders    int
}

// run places orders, fulfils each, and prints what happened.
func (o fulfilSettings) run(ctx context.Context, out io.Writer) (err error) {
	backend, err := openStore(ctx, o.store)
	if err != nil {
		return err
	}
	engine, set, err := newFulfilment(backend, o.suppliers)
	if err != nil {
		return errors.Join(err, backend.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- engine.Run(ctx) }()
	err = o.fulfil(ctx, out, engine, set)
	stop()
	return errors.Join(err, <-ran, engine.Close())
}

// newFulfilment puts together what fulfils orders. The engine that it gives owns the backend.
func newFulfilment(backend store.Backend, suppliers string) (*events.Engine, *saga.Set, error) {
	engine, err := events.New(events.Options{Backend: backend})
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(registerEvents(engine.Schema()), registerCommands(engine.Commands(), engine.Store(), engine.Schema())); err != nil {
		return nil, nil, err
	}
	definition, err := fulfilment.Define(newSuppliers(suppliers, engine.Commands()))
	if err != nil {
		return nil, nil, err
	}
	retry := saga.Retry{Attempts: 3, Initial: 100 * time.Millisecond, Max: time.Second} // short, as somebody looks on
	set, err := engine.AddSagas(saga.Options{
		Timeout: time.Second, Retry: retry, CompensationRetry: retry, Lease: 2 * time.Second,
		OnError: func(error) {}, // it stands in the timelines
	}, definition)
	return engine, set, err
}

// fulfil places the orders, starts a saga for each, and prints each at its end.
func (o fulfilSettings) fulfil(ctx context.Context, out io.Writer, engine *events.Engine, set *saga.Set) error {
	run := event.NewID().String()
	run = run[len(run)-6:]
	fmt.Fprintf(out, "%d orders, %s suppliers\n", o.orders, o.suppliers)
	ids := make([]string, o.orders)
	for i := range ids {
		order := fulfilment.Order{
			ID: fmt.Sprintf("%s-%d", run, i+1), Product: []string{"teapot", "cup", "kettle"}[i%3], Quantity: 1, Cents: int64(1995 + 500*i),
		}
		ids[i] = order.ID
		placed := PlaceOrder{ID: order.ID, Customer: "ada", Product: order.Product, Quantity: order.Quantity, Cents: order.Cents}
		if _, err := command.Dispatch[Done](ctx, engine.Commands(), placed); err != nil {
			return err
		}
		if err := set.Start(ctx, fulfilment.Name, order.ID, order, saga.StartOptions{Correlation: order.ID}); err != nil {
			return err
		}
	}
	outcomes := map[saga.Status]int{}
	for i, id := range ids {
		status, err := settled(ctx, set.Control(), id)
		if err != nil {
			return err
		}
		outcomes[status]++
		fmt.Fprintf(out, "\n— order %d of %d —\n", i+1, o.orders)
		if code := operate(ctx, []string{"sagas", "show", fulfilment.Name, id, "--store", o.store}, strings.NewReader(""), out, out); code != 0 {
			return errors.New("the timeline cannot be shown")
		}
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(outcomes)) {
		parts = append(parts, fmt.Sprintf("%d %s", outcomes[status], status))
	}
	_, err := fmt.Fprintf(out, "\n%d orders: %s\n", o.orders, strings.Join(parts, ", "))
	return err
}

// settled waits until nothing more happens to a fulfilment by itself.
func settled(ctx context.Context, control *saga.Control, id string) (saga.Status, error) {
	for {
		d, err := control.Get(ctx, fulfilment.Name, id)
		if err != nil {
			return "", err
		}
		if d.Status.Ended() || d.Status == saga.StatusFailed || d.Status == saga.StatusCompensationFailed {
			return d.Status, nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}
