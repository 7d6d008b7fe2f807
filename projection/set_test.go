package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

type Late struct{ Cents int }

func TestATypeThatIsNotRegisteredAtStartUpIsRefusedByName(t *testing.T) {
	s := memoryShop(t)
	p, docs := s.totals("totals", quick(t))
	projection.PerEntity(docs, func(d *total, e Late, r event.Recorded) error { return d.add(e.Cents, r) })
	set, err := projection.NewSet(p)
	must(t, err)
	err = set.Run(t.Context())
	wantError(t, err, schema.ErrUnregistered, "projection totals", "projection_test.Late")

	must(t, schema.Register[Late](s.registry, "order.late", schema.Options{})) // later than the handler
	set, err = projection.NewSet(p)
	must(t, err)
	must(t, set.Prepare(t.Context()))
	start(t, p)
	s.add(t, "order-1", Added{1}, Late{2})
	must(t, p.WaitFor(t.Context(), 2))
	if d, err := docs.Get(t.Context(), "1"); err != nil || d.Cents != 3 {
		t.Errorf("the document is %+v, %v", d, err)
	}
}

func TestFaultsOfASetAreReportedTogether(t *testing.T) {
	s := memoryShop(t)
	a1, _ := s.totals("a", projection.Options{})
	a2, _ := s.totals("a", projection.Options{Version: -1})
	b, _ := s.totals("b", projection.Options{DependsOn: []string{"c"}})
	c, _ := s.totals("c", projection.Options{DependsOn: []string{"b", "nowhere"}})
	bad, _ := s.totals("a/b", projection.Options{})
	_, err := projection.NewSet(a1, a2, b, c, bad)
	wantError(t, err, nil, "projection a: there are two", "version must be at least 1", `depends on "nowhere"`, "circle: [b c b]", "projection a/b: name")

	set, err := projection.NewSet(projection.New(s.Store, s.registry, "idle", projection.Options{}))
	must(t, err)
	wantError(t, set.Run(t.Context()), nil, "projection idle", "no handlers")

	_, docs := s.totals("totals", projection.Options{})
	wantError(t, docs.Put(t.Context(), "1", total{}), projection.ErrNotHandling, "put totals 1")
	_, err = docs.Get(t.Context(), "1")
	wantError(t, err, store.ErrNotFound, "has never been run")
}

func TestAProjectionHandlesAnEventAfterThoseItDependsOn(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		o := quick(t)
		o.BatchEvents = 1
		customers := projection.New(s.Store, s.registry, "customers", o)
		names := projection.NewDocuments(customers, "names", projection.DocumentOptions[string]{})
		release := make(chan struct{})
		projection.PerEntity(names, func(name *string, e Placed, r event.Recorded) error {
			if r.Position == 7 {
				<-release
			}
			*name = e.Customer
			return nil
		})
		o.DependsOn = []string{"customers"}
		sales := projection.New(s.Store, s.registry, "sales", o)
		totals := projection.NewDocuments(sales, "totals", projection.DocumentOptions[total]{})
		projection.On(sales, func(ctx context.Context, e Added, r event.Recorded) error {
			name, err := names.Get(ctx, r.Stream.Key()) // of the other projection
			if err != nil {
				return fmt.Errorf("position %d is handled too early: %w", r.Position, err)
			}
			return totals.Update(ctx, name, func(d *total) error { return d.add(e.Cents, r) })
		})
		start(t, sales, customers)
		for i := range 10 {
			s.add(t, order(i), Placed{Customer: "ada"}, Added{10})
		}
		must(t, sales.WaitFor(t.Context(), 4))
		if d, err := totals.Get(t.Context(), "ada"); err != nil || d.Last > 6 {
			t.Errorf("while customers stand before 7, sales have %+v, %v", d, err)
		}
		close(release)
		must(t, sales.WaitFor(t.Context(), 20))
		if d, err := totals.Get(t.Context(), "ada"); err != nil || d.Cents != 100 {
			t.Errorf("the document is %+v, %v", d, err)
		}
	})
}

func TestHandlersWithoutDocumentsGetEachEventInOrder(t *testing.T) {
	s := memoryShop(t)
	o := quick(t)
	o.Scope = projection.Scope{Categories: []string{"order"}}
	p := projection.New(s.Store, s.registry, "mail", o)
	var got []event.Position
	projection.OnAny(p, func(_ context.Context, r event.Recorded) error {
		got = append(got, r.Position)
		return nil
	})
	var shipped []string
	projection.On(p, func(_ context.Context, _ *Shipped, r event.Recorded) error {
		shipped = append(shipped, string(r.Stream))
		return nil
	})
	stop := start(t, p)
	s.add(t, "order-1", Added{1}, Shipped{})
	s.add(t, "other-1", Added{1})
	last := s.add(t, "order-2", Poison{}, Shipped{})
	must(t, p.WaitFor(t.Context(), last))
	stop()
	if !slices.Equal(got, []event.Position{1, 4}) || !slices.Equal(shipped, []string{"order-1", "order-2"}) {
		t.Errorf("got %v, shipped %v", got, shipped)
	}
	_, err := s.control.Rebuild(t.Context(), "mail", projection.RebuildOptions{})
	wantError(t, err, projection.ErrFixed)
}

func TestFoldMakesTheDocumentsOfOneStreamOnDemand(t *testing.T) {
	s := memoryShop(t)
	s.fill(t, 20, 4)
	p, docs := s.totals("totals", projection.Options{}) // in no set
	s.add(t, "order-1", Shipped{}, Added{100})
	got, err := projection.Fold(t.Context(), docs, projection.Scope{Streams: []event.StreamID{"order-1"}})
	if err != nil || len(got) != 1 || got["1"] != (total{Events: 6, Cents: 105, Last: 22}) {
		t.Errorf("folded %+v, %v", got, err)
	}
	got, err = projection.Fold(t.Context(), docs, projection.Scope{Categories: []string{"order"}})
	if err != nil || len(got) != 4 {
		t.Errorf("folded %+v, %v", got, err)
	}
	projection.PerEntity(docs, func(*total, Poison, event.Recorded) error { return errors.New("unfoldable") })
	s.add(t, "order-9", Poison{})
	_ = p
	_, docs = s.totals("broken", projection.Options{})
	projection.PerEntity(docs, func(*total, Poison, event.Recorded) error { return errors.New("unfoldable") })
	_, err = projection.Fold(t.Context(), docs, projection.Scope{Streams: []event.StreamID{"order-9"}})
	wantError(t, err, nil, "fold projection broken", "order.poison at position 23", "unfoldable")
}

func TestWithPartitionsADocumentBelongsToOneStream(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		s.fill(t, 100, 16)
		o := quick(t)
		o.Partitions = 4
		p, docs := s.totals("totals", o)
		shared := projection.New(s.Store, s.registry, "shared", o)
		all := projection.NewDocuments(shared, "all", projection.DocumentOptions[total]{})
		projection.Keyed(all, func(_ Added, r event.Recorded) string { return r.Stream.Category() },
			func(d *total, _ Added, _ event.Recorded) error { d.Events++; return nil })
		start(t, p, shared)
		must(t, p.WaitFor(t.Context(), 100))
		wantFold(t, docs)
		eventually(t, "the refusal", func() bool { return s.status(t, "shared").State == projection.StateFaulted })
		wantError(t, errors.New(s.status(t, "shared").Error), nil, "a document's key must depend on the stream alone")
	})
}
