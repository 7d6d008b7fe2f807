package aggregate_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// style runs one decision in one of the two styles, and tells the balance.
type style struct {
	name    string
	deposit func(ctx context.Context, id string, meanwhile func()) error
	fail    func(ctx context.Context, id string) error
	balance func(ctx context.Context, id string) int
}

// styles gives both styles over one bank. meanwhile runs between deciding and appending.
func styles(t *testing.T, b *bank, o aggregate.Options) []style {
	accounts, ledgers := b.accounts(t, o), b.ledgers(t, o)
	refused := errors.New("refused")
	return []style{{
		name: "structs",
		deposit: func(ctx context.Context, id string, meanwhile func()) error {
			_, err := accounts.Update(ctx, id, func(a *account) error {
				meanwhile()
				return a.deposit(1)
			})
			return err
		},
		fail: func(ctx context.Context, id string) error {
			_, err := accounts.Update(ctx, id, func(a *account) error {
				a.Balance += 1000 // which it must not do
				return errors.Join(a.deposit(100), refused)
			})
			return err
		},
		balance: func(ctx context.Context, id string) int {
			a, err := accounts.Load(ctx, id)
			must(t, err)
			return a.Balance
		},
	}, {
		name: "functions",
		deposit: func(ctx context.Context, id string, meanwhile func()) error {
			_, err := ledgers.Decide(ctx, id, func(ledger) ([]any, error) {
				meanwhile()
				return []any{deposited{1}}, nil
			})
			return err
		},
		fail: func(ctx context.Context, id string) error {
			_, err := ledgers.Decide(ctx, id, func(l ledger) ([]any, error) {
				l.Counts["aggregate_test.deposited"] += 1000 // which it must not do
				return []any{deposited{100}}, refused
			})
			return err
		},
		balance: func(ctx context.Context, id string) int {
			l, err := ledgers.Load(ctx, id)
			must(t, err)
			if counted := l.Value.Counts["aggregate_test.deposited"]; counted != l.Value.Balance {
				t.Errorf("%d deposits are counted, the balance is %d", counted, l.Value.Balance)
			}
			return l.Value.Balance
		},
	}}
}

func nothing() {}

// forStyles runs a test for both styles, without and with snapshots and cache.
func forStyles(t *testing.T, test func(t *testing.T, b *bank, s style)) {
	for name, o := range map[string]aggregate.Options{
		"plain":     {},
		"snapshots": {Snapshots: &aggregate.Snapshots{Every: 3}},
		"cache":     {Cache: 2},
		"all":       {Cache: 2, Snapshots: &aggregate.Snapshots{Every: 3}},
	} {
		for i := range 2 {
			b := newBank(t)
			s := styles(t, b, o)[i]
			t.Run(s.name+"/"+name, func(t *testing.T) { test(t, b, s) })
		}
	}
}

func TestConcurrentUpdatesOfOneAggregateAllCount(t *testing.T) {
	forStyles(t, func(t *testing.T, b *bank, s style) {
		const workers, each = 16, 20
		var running sync.WaitGroup
		for range workers {
			running.Go(func() {
				for range each {
					if err := s.deposit(t.Context(), "ada", nothing); err != nil {
						t.Error(err)
					}
				}
			})
		}
		running.Wait()
		if got := s.balance(t.Context(), "ada"); got != workers*each {
			t.Errorf("%d deposits are left of %d", got, workers*each)
		}
		info, err := b.store.StreamInfo(t.Context(), "account-ada")
		if err != nil || info.Version != workers*each {
			t.Errorf("the stream is at %d, %v", info.Version, err)
		}
	})
}

func TestRepositoriesOfSeveralProcessesRaceCorrectly(t *testing.T) {
	b := newBank(t)
	var running sync.WaitGroup
	const processes, each = 4, 25
	for range processes {
		// Each has its own lanes and cache, as another process would.
		s := styles(t, b, aggregate.Options{Cache: 1, Retry: aggregate.Retry{Attempts: 1000}})
		for i := range s {
			running.Go(func() {
				for range each {
					if err := s[i].deposit(t.Context(), "ada", nothing); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	running.Wait()
	if got := styles(t, b, aggregate.Options{})[1].balance(t.Context(), "ada"); got != processes*each*2 {
		t.Errorf("%d deposits are left of %d", got, processes*each*2)
	}
}

func TestAConflictReadsOnlyTheTail(t *testing.T) {
	for name, o := range map[string]aggregate.Options{"plain": {}, "snapshots": {Snapshots: &aggregate.Snapshots{}}} {
		for i := range 2 {
			b := newBank(t)
			s := styles(t, b, o)[i]
			t.Run(s.name+"/"+name, func(t *testing.T) {
				b.deposits(t, "ada", 5)
				if o.Snapshots != nil {
					must(t, b.accounts(t, o).DropSnapshots(t.Context(), "ada"))
				}
				b.froms()
				calls := 0
				must(t, s.deposit(t.Context(), "ada", func() {
					if calls++; calls <= 2 {
						b.deposits(t, "ada", 2)
					}
				}))
				if got := b.froms(); calls != 3 || !slices.Equal(got, []event.Version{1, 6, 8}) {
					t.Errorf("%d calls, reads from %v", calls, got)
				}
				if got := s.balance(t.Context(), "ada"); got != 10 {
					t.Errorf("the balance is %d, want 10", got)
				}
			})
		}
	}
}

func TestAConflictOnAVeryLongAggregateReadsItAnew(t *testing.T) {
	const length = 5000 // more than are kept in memory
	b := newBank(t)
	for range 5 {
		batch := make([]event.Pending, length/5)
		for i := range batch {
			p, err := b.registry.Encode(deposited{1})
			must(t, err)
			batch[i] = p
		}
		_, err := b.store.Append(t.Context(), "account-ada", store.Any(), batch...)
		must(t, err)
	}
	for i, s := range styles(t, b, aggregate.Options{}) {
		b.froms()
		first := true
		must(t, s.deposit(t.Context(), "ada", func() {
			if first {
				first = false
				b.deposits(t, "ada", 1)
			}
		}))
		if got := b.froms(); !slices.Equal(got, []event.Version{1, 1}) {
			t.Errorf("%s: reads from %v", s.name, got)
		}
		if got, want := s.balance(t.Context(), "ada"), length+2*(i+1); got != want {
			t.Errorf("%s: the balance is %d, want %d", s.name, got, want)
		}
	}
}

func TestADecisionThatIsMadeAgainHasNewIDs(t *testing.T) {
	b := newBank(t)
	first := true
	for _, s := range styles(t, b, aggregate.Options{}) {
		first = true
		b.commits = nil
		must(t, s.deposit(t.Context(), "ada", func() {
			if first {
				first = false
				b.deposits(t, "ada", 1)
			}
		}))
		mine := [2]event.ID{b.commits[1].Appends[0].Events[0].ID, b.commits[2].Appends[0].Events[0].ID}
		if len(b.commits) != 3 || mine[0] == mine[1] {
			t.Errorf("%s: %d commits, with ids %v", s.name, len(b.commits), mine)
		}
	}
}

func TestUpdateGivesUpAfterItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t)
		for _, s := range styles(t, b, aggregate.Options{Retry: aggregate.Retry{Attempts: 4}}) {
			calls := 0
			err := s.deposit(t.Context(), "ada", func() {
				calls++
				b.deposits(t, "ada", 1)
			})
			wantError(t, err, store.ErrConflict, "gave up after 4 attempts", "account-ada")
			if calls != 4 {
				t.Errorf("%d calls", calls)
			}
		}
	})
}

func TestWaitingForARetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t)
		s := styles(t, b, aggregate.Options{Retry: aggregate.Retry{Attempts: 1 << 30, Wait: time.Second}})[0]
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.deposit(ctx, "ada", func() { b.deposits(t, "ada", 1) })
		wantError(t, err, context.DeadlineExceeded)
	})
}

func TestAFailingDecisionChangesNothing(t *testing.T) {
	forStyles(t, func(t *testing.T, b *bank, s style) {
		for range 4 {
			must(t, s.deposit(t.Context(), "ada", nothing))
			wantError(t, s.fail(t.Context(), "ada"), nil, "refused")
		}
		if got := s.balance(t.Context(), "ada"); got != 4 {
			t.Errorf("the balance is %d, want 4", got)
		}
	})
}

func TestADecisionWithoutEventsStoresNothing(t *testing.T) {
	b := newBank(t)
	res, err := b.accounts(t, aggregate.Options{}).Update(t.Context(), "ada", func(*account) error { return nil })
	if err != nil || res.Last != 0 || len(b.commits) != 0 {
		t.Errorf("%+v, %v, %d commits", res, err, len(b.commits))
	}
}

func TestUpdateInsideUpdateOfTheSameAggregateGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t)
		s := styles(t, b, aggregate.Options{Cache: 1})[0]
		once := sync.OnceFunc(func() { must(t, s.deposit(t.Context(), "ada", nothing)) })
		must(t, s.deposit(t.Context(), "ada", once))
		if got := s.balance(t.Context(), "ada"); got != 2 {
			t.Errorf("the balance is %d, want 2", got)
		}
	})
}

func TestAPanickingDecisionLeavesNothingBehind(t *testing.T) {
	forStyles(t, func(t *testing.T, b *bank, s style) {
		must(t, s.deposit(t.Context(), "ada", nothing))
		func() {
			defer func() { _ = recover() }()
			_ = s.deposit(t.Context(), "ada", func() { panic("boom") })
		}()
		must(t, s.deposit(t.Context(), "ada", nothing))
		if got := s.balance(t.Context(), "ada"); got != 2 {
			t.Errorf("the balance is %d, want 2", got)
		}
	})
}
