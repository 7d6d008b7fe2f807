package aggregate_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func TestWhatIsSavedIsLoaded(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{})
	a, err := accounts.New("ada")
	must(t, err)
	must(t, aggregate.Record(a, opened{"Ada"}, deposited{10}))
	must(t, a.withdraw(3))
	if a.Version() != 0 || len(aggregate.Changes(a)) != 3 || a.ID() != "ada" || a.Stream() != "account-ada" {
		t.Errorf("before saving: version %d, changes %v, id %s", a.Version(), aggregate.Changes(a), a.ID())
	}
	res, err := accounts.Save(t.Context(), a)
	must(t, err)
	if res.Version() != 3 || a.Version() != 3 || len(aggregate.Changes(a)) != 0 {
		t.Errorf("after saving: result %+v, version %d", res, a.Version())
	}
	must(t, a.deposit(1))
	_, err = accounts.Save(t.Context(), a)
	must(t, err)
	loaded, err := accounts.Load(t.Context(), "ada")
	must(t, err)
	if loaded.Owner != "Ada" || loaded.Balance != 8 || loaded.Version() != 4 || loaded.ID() != "ada" {
		t.Errorf("loaded %+v", loaded)
	}
	if res, err = accounts.Save(t.Context(), loaded); err != nil || res.Last != 0 {
		t.Errorf("saving nothing: %+v, %v", res, err)
	}
}

func TestAMissingAggregateIsNotFound(t *testing.T) {
	b := newBank(t)
	_, err := b.accounts(t, aggregate.Options{}).Load(t.Context(), "nobody")
	wantError(t, err, store.ErrNotFound, "account-nobody", "holds no events")
	_, err = b.ledgers(t, aggregate.Options{}).Load(t.Context(), "nobody")
	wantError(t, err, store.ErrNotFound, "account-nobody")
	_, err = b.accounts(t, aggregate.Options{}).Load(t.Context(), "")
	wantError(t, err, store.ErrInvalid, "category-id")
}

func TestADeletedAggregateSaysSo(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{Cache: 10})
	_, err := accounts.Update(t.Context(), "ada", func(a *account) error { return a.deposit(1) })
	must(t, err)
	_, err = b.store.Delete(t.Context(), "account-ada", store.Any())
	must(t, err)
	_, err = accounts.Load(t.Context(), "ada")
	wantError(t, err, store.ErrStreamDeleted, "account-ada")
	_, err = accounts.Update(t.Context(), "ada", func(a *account) error { return a.deposit(1) })
	wantError(t, err, store.ErrStreamDeleted, "account-ada")
	_, err = accounts.LoadAt(t.Context(), "ada", aggregate.AtVersion(1))
	wantError(t, err, store.ErrStreamDeleted)
}

func TestATruncatedAggregateNeedsASnapshot(t *testing.T) {
	b := newBank(t)
	plain := b.accounts(t, aggregate.Options{})
	snapped := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{}})
	b.deposits(t, "ada", 5)
	must(t, snapped.Snapshot(t.Context(), "ada"))
	b.deposits(t, "ada", 2)
	_, err := b.store.Truncate(t.Context(), "account-ada", 5)
	must(t, err)
	_, err = plain.Load(t.Context(), "ada")
	wantError(t, err, aggregate.ErrTruncated, "account-ada", "need version 1 next", "oldest left is 5")
	a, err := snapped.Load(t.Context(), "ada")
	must(t, err)
	if a.Balance != 7 || a.Version() != 7 {
		t.Errorf("loaded balance %d, version %d", a.Balance, a.Version())
	}
}

func TestSavingOverNewerEventsIsAConflict(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{})
	b.deposits(t, "ada", 1)
	a, err := accounts.Load(t.Context(), "ada")
	must(t, err)
	b.deposits(t, "ada", 1)
	must(t, a.deposit(1))
	_, err = accounts.Save(t.Context(), a)
	wantError(t, err, store.ErrConflict, "expected version 1", "account-ada is at version 2")
	second, err := accounts.New("ada")
	must(t, err)
	must(t, second.deposit(1))
	_, err = accounts.Save(t.Context(), second)
	wantError(t, err, store.ErrConflict, "expected no stream")
}

func TestAnAggregateWithoutAnIDCannotBeSaved(t *testing.T) {
	b := newBank(t)
	var a account
	must(t, a.deposit(1))
	_, err := b.accounts(t, aggregate.Options{}).Save(t.Context(), &a)
	wantError(t, err, nil, "has no id", "Repository.New")
}

func TestAnEventThatCannotBeAppliedSpoilsTheAggregate(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{})
	a, err := accounts.New("ada")
	must(t, err)
	wantError(t, aggregate.Record(a, deposited{1}, stranger{}), nil, "stranger", "unknown event")
	wantError(t, aggregate.Record(a, deposited{1}), nil, "stranger")
	_, err = accounts.Save(t.Context(), a)
	wantError(t, err, nil, "could not be applied", "account-ada")
	_, err = accounts.Update(t.Context(), "ada", func(a *account) error {
		_ = aggregate.Record(a, nil) // a handler that forgets to look at the error
		return nil
	})
	wantError(t, err, nil, "the event is nil")
	if len(b.commits) != 0 {
		t.Error("something was stored")
	}
}

func TestAnEventOfAnUnknownTypeStoresNothing(t *testing.T) {
	b := newBank(t)
	type unregistered struct{}
	d := b.ledgers(t, aggregate.Options{})
	_, err := d.Decide(t.Context(), "ada", func(ledger) ([]any, error) { return []any{deposited{1}, stranger{}}, nil })
	wantError(t, err, nil, "new event 2", "stranger", "account-ada")
	e, err := aggregate.NewDecider(b.store, b.registry, "account", aggregate.Fold[int]{
		Evolve: func(s int, _ any) (int, error) { return s, nil },
	}, aggregate.Options{})
	must(t, err)
	_, err = e.Decide(t.Context(), "ada", func(int) ([]any, error) { return []any{deposited{1}, unregistered{}}, nil })
	wantError(t, err, nil, "unregistered", "account-ada")
	if len(b.commits) != 0 {
		t.Error("something was stored")
	}
}

func TestTheContextsMetadataIsStampedOnEachEvent(t *testing.T) {
	b := newBank(t)
	ctx := event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "talk", CausationID: "cmd", Actor: "ada"})
	_, err := b.accounts(t, aggregate.Options{}).Update(ctx, "ada", func(a *account) error {
		return errors.Join(a.deposit(1), a.deposit(2))
	})
	must(t, err)
	for stored, err := range b.store.ReadLog(t.Context(), store.LogRead{}) {
		must(t, err)
		m, err := stored.Metadata()
		if err != nil || m.CorrelationID != "talk" || m.CausationID != "cmd" || m.Actor != "ada" {
			t.Errorf("event %d has %+v, %v", stored.Position, m, err)
		}
	}
}

func TestSavingAgainAfterAnUnknownOutcomeStoresOnce(t *testing.T) {
	b := newBank(t)
	b.afterAppend = func(_ int, res store.Result, err error) (store.Result, error) {
		if err == nil && !res.Duplicate {
			return store.Result{}, store.ErrUnavailable // stored, but nobody knows
		}
		return res, err
	}
	once := b.accounts(t, aggregate.Options{Retry: aggregate.Retry{Attempts: 1}})
	a, err := once.New("ada")
	must(t, err)
	must(t, a.deposit(5))
	_, err = once.Save(t.Context(), a)
	wantError(t, err, store.ErrUnavailable)
	res, err := once.Save(t.Context(), a)
	if err != nil || !res.Duplicate || a.Version() != 1 {
		t.Errorf("second save: %+v, %v, version %d", res, err, a.Version())
	}
	// Update and Decide try again by themselves.
	_, err = b.accounts(t, aggregate.Options{}).Update(t.Context(), "ada", func(a *account) error { return a.deposit(5) })
	must(t, err)
	_, err = b.ledgers(t, aggregate.Options{}).Decide(t.Context(), "ada", func(ledger) ([]any, error) { return []any{deposited{5}}, nil })
	must(t, err)
	loaded, err := once.Load(t.Context(), "ada")
	if err != nil || loaded.Balance != 15 || loaded.Version() != 3 {
		t.Errorf("loaded balance %d, version %d, %v", loaded.Balance, loaded.Version(), err)
	}
}

func TestFaultyOptionsAreReportedTogether(t *testing.T) {
	b := newBank(t)
	_, err := aggregate.NewRepository[account](nil, b.registry, "a-b", aggregate.Options{
		Cache: -1, Retry: aggregate.Retry{Attempts: -1}, Snapshots: &aggregate.Snapshots{Keep: -1},
	})
	wantError(t, err, nil, "a store and a schema registry", "a-b", "cache", "attempts", "keep")
	_, err = aggregate.NewDecider(b.store, b.registry, "account", aggregate.Fold[int]{}, aggregate.Options{})
	wantError(t, err, nil, "Evolve")
}

func TestATimeTravellerSeesThePast(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 3}})
	ledgers := b.ledgers(t, aggregate.Options{})
	for range 10 {
		_, err := accounts.Update(t.Context(), "ada", func(a *account) error { return a.deposit(1) })
		must(t, err)
	}
	var times []event.Recorded
	for stored, err := range b.store.ReadStream(t.Context(), store.StreamRead{Stream: "account-ada"}) {
		must(t, err)
		times = append(times, stored)
	}
	for _, stored := range times {
		last := stored.Version // events of one instant come together
		for _, other := range times {
			if other.RecordedAt.Equal(stored.RecordedAt) {
				last = other.Version
			}
		}
		for point, want := range map[aggregate.Point]event.Version{
			aggregate.AtVersion(stored.Version): stored.Version,
			aggregate.AtTime(stored.RecordedAt): last,
		} {
			a, err := accounts.LoadAt(t.Context(), "ada", point)
			if err != nil || a.Balance != int(want) || a.Version() != want {
				t.Errorf("at %v: %+v, %v; want version %d", point, a, err, want)
			}
			l, err := ledgers.LoadAt(t.Context(), "ada", point)
			if err != nil || l.Value.Balance != int(want) || l.Version != want || l.ID != "ada" {
				t.Errorf("at %v: %+v, %v; want version %d", point, l, err, want)
			}
		}
	}
	for _, point := range []aggregate.Point{aggregate.AtVersion(11), aggregate.AtTime(times[0].RecordedAt.Add(-1))} {
		_, err := accounts.LoadAt(t.Context(), "ada", point)
		wantError(t, err, store.ErrNotFound, "account-ada", point.String())
	}
	_, err := accounts.LoadAt(t.Context(), "ada", aggregate.AtVersion(0))
	wantError(t, err, store.ErrInvalid, "version 0")
	past, err := accounts.LoadAt(t.Context(), "ada", aggregate.AtVersion(4))
	must(t, err)
	must(t, past.deposit(1))
	_, err = accounts.Save(t.Context(), past)
	wantError(t, err, store.ErrConflict, "expected version 4")
}

func TestACancelledContextStopsEverything(t *testing.T) {
	b := newBank(t)
	b.deposits(t, "ada", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	accounts := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{}})
	_, err := accounts.Load(ctx, "ada")
	wantError(t, err, context.Canceled)
	called := false
	_, err = accounts.Update(ctx, "ada", func(*account) error { called = true; return nil })
	wantError(t, err, context.Canceled)
	if called {
		t.Error("the change was called")
	}
}

func TestReplayLeavesNothingToSave(t *testing.T) {
	var a account
	must(t, aggregate.Replay(&a, opened{"Ada"}, deposited{3}))
	if a.Version() != 2 || a.Balance != 3 || len(aggregate.Changes(&a)) != 0 || !slices.Equal(a.Log, []int{3}) {
		t.Errorf("replayed %+v", a)
	}
	wantError(t, aggregate.Replay(&a, stranger{}), nil, "replay", "stranger")
}
