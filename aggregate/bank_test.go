package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// The events of an account, which both styles of aggregates share.
type (
	opened    struct{ Owner string }
	deposited struct{ Amount int }
	withdrawn struct{ Amount int }
	stranger  struct{} // registered, and unknown to the account
)

var errPoor = errors.New("not enough money")

// account is the aggregate in the style of structs.
type account struct {
	aggregate.Root
	Owner   string
	Balance int
	Log     []int
}

func (a *account) Apply(e any) error {
	switch e := e.(type) {
	case opened:
		a.Owner = e.Owner
	case deposited:
		a.Balance += e.Amount
		a.Log = append(a.Log, e.Amount)
	case withdrawn:
		a.Balance -= e.Amount
		a.Log = append(a.Log, -e.Amount)
	default:
		return fmt.Errorf("unknown event %T", e)
	}
	return nil
}

func (a *account) deposit(amount int) error { return aggregate.Record(a, deposited{amount}) }

func (a *account) withdraw(amount int) error {
	if a.Balance < amount {
		return errPoor
	}
	return aggregate.Record(a, withdrawn{amount})
}

// ledger is the state in the style of functions. The map is changed in place, as people will do.
type ledger struct {
	Balance int
	Counts  map[string]int
}

func ledgerFold() aggregate.Fold[ledger] {
	return aggregate.Fold[ledger]{
		Initial: func() ledger { return ledger{Counts: map[string]int{}} },
		Evolve: func(l ledger, e any) (ledger, error) {
			switch e := e.(type) {
			case opened:
			case deposited:
				l.Balance += e.Amount
			case withdrawn:
				l.Balance -= e.Amount
			default:
				return l, fmt.Errorf("unknown event %T", e)
			}
			l.Counts[fmt.Sprintf("%T", e)]++
			return l, nil
		},
	}
}

// spy is a backend that counts, and that misbehaves on request.
type spy struct {
	store.Backend
	mu          sync.Mutex
	reads       []store.StreamRead
	commits     []store.Commit
	afterAppend func(n int, res store.Result, err error) (store.Result, error) // n: number of the append, from 1
	beforeRead  func(r store.StreamRead)
	apply       func() error // in place of writing records, when it gives an error
}

func (s *spy) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	s.mu.Lock()
	s.commits = append(s.commits, c)
	n, after := len(s.commits), s.afterAppend
	s.mu.Unlock()
	res, err := s.Backend.Append(ctx, c)
	if after != nil {
		return after(n, res, err)
	}
	return res, err
}

func (s *spy) ReadStream(ctx context.Context, r store.StreamRead) iter.Seq2[event.Recorded, error] {
	s.mu.Lock()
	s.reads = append(s.reads, r)
	before := s.beforeRead
	s.mu.Unlock()
	if before != nil {
		before(r)
	}
	return s.Backend.ReadStream(ctx, r)
}

func (s *spy) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if s.apply != nil {
		if err := s.apply(); err != nil {
			return nil, err
		}
	}
	return s.Backend.Apply(ctx, ops)
}

func (s *spy) Truncate(ctx context.Context, stream event.StreamID, before event.Version) (int64, error) {
	return s.Backend.(store.Truncator).Truncate(ctx, stream, before)
}

func (s *spy) Delete(ctx context.Context, stream event.StreamID, expected store.Expected) (store.Result, error) {
	return s.Backend.(store.Truncator).Delete(ctx, stream, expected)
}

// froms lists where the reads began, and forgets them.
func (s *spy) froms() []event.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	var froms []event.Version
	for _, r := range s.reads {
		froms = append(froms, r.From)
	}
	s.reads = nil
	return froms
}

type bank struct {
	*spy
	store    *store.Store
	registry *schema.Registry
}

func newBank(tb testing.TB) *bank {
	tb.Helper()
	s := &spy{Backend: memstore.New(memstore.Options{})}
	b := &bank{spy: s, store: store.New(s, store.Options{}), registry: schema.NewRegistry()}
	must(tb, errors.Join(
		schema.Register[opened](b.registry, "account.opened", schema.Options{}),
		schema.Register[deposited](b.registry, "account.deposited", schema.Options{}),
		schema.Register[withdrawn](b.registry, "account.withdrawn", schema.Options{}),
		schema.Register[stranger](b.registry, "stranger", schema.Options{}),
	))
	return b
}

func (b *bank) accounts(tb testing.TB, o aggregate.Options) *aggregate.Repository[account] {
	tb.Helper()
	r, err := aggregate.NewRepository[account](b.store, b.registry, "account", o)
	must(tb, err)
	return r
}

func (b *bank) ledgers(tb testing.TB, o aggregate.Options) *aggregate.Decider[ledger] {
	tb.Helper()
	d, err := aggregate.NewDecider(b.store, b.registry, "account", ledgerFold(), o)
	must(tb, err)
	return d
}

// deposits appends so many deposits of 1 behind the repositories' backs.
func (b *bank) deposits(tb testing.TB, id string, n int) {
	tb.Helper()
	for range n {
		p, err := b.registry.Encode(deposited{1})
		must(tb, err)
		_, err = b.store.Append(tb.Context(), event.StreamID("account-"+id), store.Any(), p)
		must(tb, err)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wantError(t *testing.T, err error, kind error, phrases ...string) {
	t.Helper()
	if err == nil || kind != nil && !errors.Is(err, kind) {
		t.Fatalf("error %v is not of the kind %v", err, kind)
	}
	for _, phrase := range phrases {
		if !strings.Contains(err.Error(), phrase) {
			t.Errorf("error %q does not say %q", err, phrase)
		}
	}
}
