package projection_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// eachTransactor runs a test on each backend that has transactions.
func eachTransactor(t *testing.T, run func(t *testing.T, open everystore.Opener)) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		if _, ok := open().(store.Transactor); !ok {
			t.Skip("a backend without transactions")
		}
		run(t, open)
	})
}

func inline(tb testing.TB) projection.Options {
	o := quick(tb)
	o.Mode = projection.Inline
	return o
}

func TestAnInlineProjectionIsPartOfTheAppend(t *testing.T) {
	eachTransactor(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		p, docs := s.totals("totals", inline(t))
		projection.PerEntity(docs, func(d *total, e Poison, _ event.Recorded) error {
			d.Cents = e.Cents
			return errors.New("no such sale")
		})
		start(t, p)
		eventually(t, "that it is inline", func() bool {
			status, err := s.control.Status(t.Context(), "totals")
			return err == nil && status.State == projection.StateLive
		})
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				for i := range 10 {
					position, err := s.tryAdd(t.Context(), order(w), Added{1}, Shipped{}, Added{1})
					if err != nil {
						t.Error(err)
						return
					}
					d, err := docs.Get(t.Context(), fmt.Sprint(w)) // at once
					if err != nil || d.Events != 2*(i+1) || d.Last != position {
						t.Errorf("after the append at %d the document is %+v, %v", position, d, err)
					}
				}
			})
		}
		wg.Wait()
		wantFold(t, docs)

		_, err := s.tryAdd(t.Context(), "order-0", Added{1}, Poison{7})
		wantError(t, err, nil, "append stream order-0", "inline projection totals", "no such sale")
		if head, err := s.Head(t.Context()); err != nil || head != 90 {
			t.Errorf("the head is %d, %v: the refused append has left something", head, err)
		}
		wantFold(t, docs)

		// In the caller's own transaction, which is then undone, and a duplicate.
		undone := errors.New("undone")
		err = s.Transact(t.Context(), func(ctx context.Context) error {
			if _, err := s.tryAdd(ctx, "order-0", Added{1}); err != nil {
				return err
			}
			if d, err := docs.Get(ctx, "0"); err != nil || d.Events != 21 {
				t.Errorf("in the transaction the document is %+v, %v", d, err)
			}
			return undone
		})
		wantError(t, err, undone)
		e, err := s.registry.Encode(Added{5})
		must(t, err)
		e.ID = event.NewID()
		for range 2 {
			_, err = s.Append(t.Context(), "order-0", store.Any(), e)
			must(t, err)
		}
		wantFold(t, docs)
		if d, err := docs.Get(t.Context(), "0"); err != nil || d.Cents != 25 {
			t.Errorf("the document is %+v, %v", d, err)
		}
	})
}

func TestAnInlineProjectionOnAnExistingLogCatchesUpBesideTheAppends(t *testing.T) {
	eachTransactor(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		s.fill(t, 60, 4)
		o := inline(t)
		o.InlineCatchUp, o.BatchEvents = 10, 7
		p, docs := s.totals("totals", o)
		set, err := projection.NewSet(p)
		must(t, err)
		must(t, set.Prepare(t.Context()))
		s.fill(t, 5, 4) // it does not refuse, and is not inline yet
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 1)
		go func() { done <- set.Run(ctx) }()
		eventually(t, "that it is inline", func() bool { return s.status(t, "totals").State == projection.StateLive })
		wantFold(t, docs)
		s.fill(t, 5, 4)
		wantFold(t, docs)
		stop()
		must(t, <-done)

		other := newShop(t, open()) // a process that does not run it
		other.fill(t, 10, 3)
		s.fill(t, 1, 1) // few: the append catches up
		wantFold(t, docs)
		other.fill(t, 11, 3)
		_, err = s.tryAdd(t.Context(), "order-0", Added{1})
		wantError(t, err, projection.ErrBehind, "inline projection totals", "position 81", "run its Set")
		p, _ = other.totals("totals", o)
		start(t, p)
		eventually(t, "the catching up", func() bool { return s.status(t, "totals").Lag == 0 })
		s.fill(t, 1, 1)
		wantFold(t, docs)
	})
}

func TestAnInlineProjectionIsRebuiltAndSwitched(t *testing.T) {
	eachTransactor(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		p, docs := s.totals("totals", inline(t))
		start(t, p)
		eventually(t, "that it is inline", func() bool {
			status, err := s.control.Status(t.Context(), "totals")
			return err == nil && status.State == projection.StateLive
		})
		s.fill(t, 20, 3)
		number, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
		must(t, err)
		s.fill(t, 20, 3)
		must(t, s.control.Follow(t.Context(), "totals", number, nil))
		s.fill(t, 5, 3)
		wantFold(t, docs)
		number, err = s.control.SwitchBack(t.Context(), "totals")
		must(t, err)
		must(t, s.control.Follow(t.Context(), "totals", number, nil))
		wantFold(t, docs) // the previous one was inline, too
	})
}

func TestWhatNeedsTransactionsIsRefusedAtStartUpElsewhere(t *testing.T) {
	s := newShop(t, memstore.New(memstore.Options{}))
	for _, o := range []projection.Options{
		{Mode: projection.Inline},
		{Transaction: true},
		{OnSwitch: func(context.Context, projection.Generation, projection.Generation) error { return nil }},
	} {
		p, _ := s.totals("totals", o)
		_, err := projection.NewSet(p)
		wantError(t, err, nil, "projection totals", "needs a backend with transactions")
	}
}
