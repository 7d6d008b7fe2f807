package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// workerEnv holds, in a worker process, its task. It is no flag, since a URL may hold a password.
const workerEnv = "SAGAPROOF_WORKER"

// task is what a worker needs to know.
type task struct {
	Store    string `json:"store"`
	Folder   string `json:"folder"` // of the ledger
	Sabotage string `json:"sabotage,omitempty"`
}

// lease is short, so that what a killed worker has held goes on soon.
const lease = 2 * time.Second

// runWorker is a worker process; it gives the exit code.
func runWorker(text string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var t task
	err := json.Unmarshal([]byte(text), &t)
	if err == nil {
		err = t.work(ctx)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "sagaproof: worker %d: %v\n", os.Getpid(), err)
		return 1
	}
	return 0
}

// work runs sagas until it is told to stop, and then waits for suppliers who are late.
func (t task) work(ctx context.Context) (err error) {
	l, err := openLedger(t.Folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	backend, err := store.OpenURL(ctx, t.Store, drivers.All(), store.OpenOptions{})
	if err != nil {
		return err
	}
	if t.Sabotage == breakFencing {
		backend = unfenced{backend}
	}
	engine, err := events.New(events.Options{Backend: backend})
	if err != nil {
		return errors.Join(err, backend.Close())
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	wild, calls := suppliers(l, t.Sabotage)
	definition, err := fulfilment.Define(wild)
	if err != nil {
		return err
	}
	if _, err := engine.AddSagas(sagaOptions(), definition); err != nil {
		return err
	}
	err = engine.Run(ctx)
	calls.Wait()
	return err
}

// sagaOptions let nothing wait for long.
func sagaOptions() saga.Options {
	return saga.Options{
		Timeout: attemptTimeout, Lease: lease, PollInterval: 100 * time.Millisecond, Concurrency: 200,
		Retry:             saga.Retry{Attempts: 4, Initial: 20 * time.Millisecond, Max: 200 * time.Millisecond},
		CompensationRetry: saga.Retry{Attempts: 8, Initial: 20 * time.Millisecond, Max: 200 * time.Millisecond},
		OnError:           func(error) {}, // kills and wild suppliers are no news
	}
}

// orderID names an order by its number.
func orderID(n int) string { return strconv.Itoa(n) }

// refusesToUndo tells whether an order is one of those whose payment is not given back before somebody repairs that.
func refusesToUndo(id string) bool {
	n, err := strconv.Atoi(id)
	return err == nil && n%25 == 0
}
