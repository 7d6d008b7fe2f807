package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// The types of events. A poisoned one fails in the subscription's handler, each time.
const (
	typeAdded    = "account.added"
	typePoisoned = "account.poisoned"
)

type added struct {
	N int64 `json:"n"`
}

type poisoned struct {
	N int64 `json:"n"`
}

// total is what a stream's events come to. An event that is missing, doubled or out of order gives another chain.
type total struct {
	Events int64         `json:"events"`
	Sum    int64         `json:"sum"`
	Last   event.Version `json:"last"`
	Chain  uint64        `json:"chain"`
}

func (t *total) add(n int64, v event.Version) {
	t.Events++
	t.Sum += n
	t.Last = v
	t.Chain = t.Chain*1_000_003 + uint64(n)<<20 + uint64(v)
}

// lease is short, so that what a killed consumer has held goes on soon.
const lease = 2 * time.Second

// models are the projections: totals as documents, and as rows of a table.
type models struct {
	docs   *projection.Documents[total]
	totals *projection.Projection
	table  *projection.Projection
	rows   *table
}

// newModels defines the projections; they are run by the consumers, and read by the test.
func newModels(s *store.Store, folder string) (*models, error) {
	r := schema.NewRegistry()
	if err := errors.Join(
		schema.Register[added](r, typeAdded, schema.Options{}),
		schema.Register[poisoned](r, typePoisoned, schema.Options{}),
	); err != nil {
		return nil, err
	}
	o := projection.Options{
		Partitions: 4, Lease: lease, PollInterval: 100 * time.Millisecond, OnError: func(error) {}, // kills are no news
		DeadLetters: deadletter.New(s, deadletter.Options{}),
	}
	m := &models{totals: projection.New(s, r, "totals", o)}
	m.docs = projection.NewDocuments[total](m.totals, "totals", projection.DocumentOptions[total]{})
	projection.PerEntity(m.docs, func(t *total, e added, r event.Recorded) error {
		t.add(e.N, r.Version)
		return nil
	})
	projection.PerEntity(m.docs, func(t *total, e poisoned, r event.Recorded) error {
		t.add(e.N, r.Version)
		return nil
	})

	table, err := newTable(s, folder)
	if err != nil {
		return nil, err
	}
	o.Transaction, o.Create, o.Drop = true, table.create, table.drop
	m.table, m.rows = projection.New(s, r, "table", o), table
	projection.On(m.table, func(ctx context.Context, e added, r event.Recorded) error { return table.add(ctx, e.N, r) })
	projection.On(m.table, func(ctx context.Context, e poisoned, r event.Recorded) error { return table.add(ctx, e.N, r) })
	return m, nil
}

func openStore(ctx context.Context, url string, migrate bool) (*store.Store, error) {
	backend, err := store.OpenURL(ctx, url, drivers.All(), store.OpenOptions{AutoMigrate: migrate})
	if err != nil {
		return nil, err
	}
	s := store.New(backend, store.Options{})
	if _, ok := backend.(store.Transactor); !ok {
		return nil, errors.Join(fmt.Errorf("store %s has no transactions, which the table needs", url), s.Close())
	}
	return s, nil
}
