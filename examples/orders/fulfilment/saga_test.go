package fulfilment_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"lexigram.dev/events"
	"lexigram.dev/events/event"
	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
)

// recorder is a supplier who writes down what he is asked for.
type recorder struct {
	name string
	book *book
}

type book struct {
	mu    sync.Mutex
	lines []string
	keys  map[string]event.ID // of what was done, by supplier
	fails string              // the supplier who says no
}

func (r recorder) Do(_ context.Context, _ fulfilment.Order, key event.ID) (string, error) {
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	if r.name == r.book.fails {
		return "", saga.Permanent(errors.New("no"))
	}
	r.book.lines = append(r.book.lines, r.name)
	r.book.keys[r.name] = key
	return r.name + "-1", nil
}

func (r recorder) Undo(_ context.Context, _ fulfilment.Order, done, key event.ID) error {
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	if done != r.book.keys[r.name] || key == done {
		return errors.New("this is not what was done")
	}
	r.book.lines = append(r.book.lines, "undo "+r.name)
	return nil
}

// fulfil runs one order to its end.
func fulfil(t *testing.T, fails string) (d saga.Detail, lines []string) {
	t.Helper()
	b := &book{keys: map[string]event.ID{}, fails: fails}
	one := func(name string) fulfilment.Supplier { return recorder{name, b} }
	definition, err := fulfilment.Define(fulfilment.Suppliers{
		Warehouse: one("warehouse"), Payments: one("payments"), Carrier: one("carrier"), Mail: one("mail"), Books: one("books"),
	})
	if err != nil {
		t.Fatal(err)
	}
	e := events.Stub()
	set, err := e.AddSagas(saga.Options{OnError: func(error) {}}, definition)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- e.Run(ctx) }()
	if err := set.Start(ctx, fulfilment.Name, "7", fulfilment.Order{ID: "7"}, saga.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if d, err = set.Control().Get(ctx, fulfilment.Name, "7"); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := errors.Join(<-ran, e.Close()); err != nil {
		t.Fatal(err)
	}
	return d, b.lines
}

func TestAnOrderIsFulfilledAndWhatTheSuppliersSayIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, lines := fulfil(t, "")
		slices.Sort(lines[2:4]) // at the same time
		if got := strings.Join(lines, ", "); d.Status != saga.StatusCompleted || got != "warehouse, payments, carrier, mail, books" {
			t.Errorf("%s: %s", d.Status, got)
		}
		for _, reference := range []string{`"reservation":"warehouse-1"`, `"payment":"payments-1"`, `"tracking":"carrier-1"`, `"mail":"mail-1"`, `"confirmed":"books-1"`} {
			if !strings.Contains(string(d.Data), reference) {
				t.Errorf("%s is not in %s", reference, d.Data)
			}
		}
	})
}

func TestWhatWasDoneIsTakenBackInReverse(t *testing.T) {
	for fails, want := range map[string]string{
		"warehouse": "",
		"payments":  "warehouse, undo warehouse",
		"carrier":   "warehouse, payments, mail, undo payments, undo warehouse",
		"books":     "warehouse, payments, carrier, mail, undo carrier, undo payments, undo warehouse",
	} {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, lines := fulfil(t, fails)
				if fails == "books" {
					slices.Sort(lines[2:4])
				}
				if got := strings.Join(lines, ", "); d.Status != saga.StatusCompensated || got != want {
					t.Errorf("%s: %s, want %s", d.Status, got, want)
				}
			})
		})
	}
}
