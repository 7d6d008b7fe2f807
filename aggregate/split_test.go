package aggregate_test

import (
	"testing"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// transferred was one event before it was split.
type transferred struct{ In, Out int }

func TestAFoldSeesAllValuesThatAnEventIsReadAs(t *testing.T) {
	b := newBank(t)
	must(t, schema.Split(b.registry, "account.transferred", schema.Options{}, func(e transferred) ([]any, error) {
		return []any{deposited{e.In}, withdrawn{e.Out}}, nil
	}, schema.Into[deposited](), schema.Into[withdrawn]()))
	must(t, schema.Drop(b.registry, "account.viewed"))
	for _, e := range []event.Pending{
		{Type: "account.opened", Data: []byte(`{"Owner":"Ada"}`)},
		{Type: "account.transferred", Data: []byte(`{"In":10,"Out":3}`)},
		{Type: "account.viewed", Data: []byte(`nothing that matters`)},
	} {
		_, err := b.store.Append(t.Context(), "account-1", store.Any(), e)
		must(t, err)
	}
	accounts := b.accounts(t, aggregate.Options{})
	_, err := accounts.Update(t.Context(), "1", func(a *account) error { return a.deposit(1) })
	must(t, err)
	a, err := accounts.Load(t.Context(), "1")
	must(t, err)
	if a.Balance != 8 || len(a.Log) != 3 {
		t.Errorf("balance %d, log %v; want 8 after three movements", a.Balance, a.Log)
	}
	info, err := b.store.StreamInfo(t.Context(), "account-1")
	if err != nil || info.Version != 4 {
		t.Errorf("the stream is at version %d (%v), want 4: versions are those of stored events", info.Version, err)
	}
}
