package aggregate_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
)

func TestAHotAggregateIsNotRead(t *testing.T) {
	b := newBank(t)
	for _, s := range styles(t, b, aggregate.Options{Cache: 10}) {
		must(t, s.deposit(t.Context(), s.name, nothing))
		b.froms()
		for range 5 {
			must(t, s.deposit(t.Context(), s.name, nothing))
		}
		if got := b.froms(); len(got) != 0 {
			t.Errorf("%s: reads from %v", s.name, got)
		}
		if got := s.balance(t.Context(), s.name); got != 6 {
			t.Errorf("%s: the balance is %d, want 6", s.name, got)
		}
	}
}

func TestTheLeastRecentlyUsedLeavesTheCache(t *testing.T) {
	b := newBank(t)
	s := styles(t, b, aggregate.Options{Cache: 2})[0]
	for _, id := range []string{"a", "b", "a", "c"} { // so b is the oldest when c comes
		must(t, s.deposit(t.Context(), id, nothing))
	}
	for id, reads := range map[string]int{"a": 0, "c": 0} {
		b.froms()
		must(t, s.deposit(t.Context(), id, nothing))
		if got := b.froms(); len(got) != reads {
			t.Errorf("%s: reads from %v", id, got)
		}
	}
	b.froms()
	must(t, s.deposit(t.Context(), "b", nothing))
	if got := b.froms(); !slices.Equal(got, []event.Version{1}) {
		t.Errorf("b: reads from %v", got)
	}
}

func TestAStaleCacheIsFoundOutByTheAppend(t *testing.T) {
	b := newBank(t)
	for _, s := range styles(t, b, aggregate.Options{Cache: 2}) {
		must(t, s.deposit(t.Context(), s.name, nothing))
		b.deposits(t, s.name, 3)
		must(t, s.deposit(t.Context(), s.name, nothing))
		if got := s.balance(t.Context(), s.name); got != 5 {
			t.Errorf("%s: the balance is %d, want 5", s.name, got)
		}
	}
}

func TestAStaleCacheDoesNotRefuseWhatIsAllowedNow(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{Cache: 2})
	ledgers := b.ledgers(t, aggregate.Options{Cache: 2})
	withdraw := func(amount int) error {
		_, err := accounts.Update(t.Context(), "ada", func(a *account) error { return a.withdraw(amount) })
		return err
	}
	decide := func(amount int) error {
		_, err := ledgers.Decide(t.Context(), "ada", func(l ledger) ([]any, error) {
			if l.Balance < amount {
				return nil, errPoor
			}
			return []any{withdrawn{amount}}, nil
		})
		return err
	}
	b.deposits(t, "ada", 2)
	must(t, withdraw(1))
	must(t, decide(1)) // both caches know: 0 or 1
	b.deposits(t, "ada", 10)
	must(t, withdraw(5))
	must(t, decide(5))
	if err := errors.Join(withdraw(1)); !errors.Is(err, errPoor) {
		t.Errorf("got %v", err)
	}
	wantError(t, decide(1), errPoor)
}

func TestDropSnapshotsEmptiesTheCacheToo(t *testing.T) {
	b := newBank(t)
	o := aggregate.Options{Cache: 2, Snapshots: &aggregate.Snapshots{}}
	accounts := b.accounts(t, o)
	deposit := func(a *account) error { return a.deposit(1) }
	_, err := accounts.Update(t.Context(), "ada", deposit)
	must(t, err)
	must(t, accounts.DropSnapshots(t.Context(), "ada"))
	b.froms()
	_, err = accounts.Update(t.Context(), "ada", deposit)
	must(t, err)
	if got := b.froms(); !slices.Equal(got, []event.Version{1}) {
		t.Errorf("reads from %v", got)
	}
}

func TestAnAggregateThatIsNotUsedForLongLeavesTheCache(t *testing.T) {
	b := newBank(t)
	now := time.Now()
	s := styles(t, b, aggregate.Options{Cache: 2, CacheTTL: time.Minute, Now: func() time.Time { return now }})[0]
	for _, c := range []struct {
		after time.Duration
		reads int
	}{{0, 1}, {time.Minute, 0}, {time.Minute, 0}, {time.Minute + 1, 1}} {
		now = now.Add(c.after)
		b.froms()
		must(t, s.deposit(t.Context(), "a", nothing))
		if got := b.froms(); len(got) != c.reads {
			t.Errorf("after %v: reads from %v, want %d", c.after, got, c.reads)
		}
	}
}
