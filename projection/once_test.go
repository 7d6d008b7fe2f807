package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func TestDocumentsEqualAFoldOfTheLog(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		s.fill(t, 50, 7)
		p, docs := s.totals("totals", quick(t))
		start(t, p)
		last := s.fill(t, 50, 11)
		must(t, p.WaitFor(t.Context(), last))
		wantFold(t, docs)
		if _, events := sums(t, docs); events != 100 {
			t.Errorf("%d events were counted, want 100", events)
		}
	})
}

// An unknown outcome: the batch is stored, and the answer is lost.
func TestEachEventCountsOnceWhenTheOutcomeOfACommitIsUnknown(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		lying := &spy{Backend: open()}
		s := newShop(t, lying)
		commits := 0
		lying.set(func(_ context.Context, ops []store.Op, do func() ([]store.Revision, error)) ([]store.Revision, error) {
			revisions, err := do()
			if err == nil && writes(ops) {
				if commits++; commits%2 == 1 {
					return nil, fmt.Errorf("the line broke: %w", store.ErrUnavailable)
				}
			}
			return revisions, err
		})
		s.fill(t, 60, 5)
		o := quick(t)
		o.BatchEvents = 7
		p, docs := s.totals("totals", o)
		start(t, p)
		must(t, p.WaitFor(t.Context(), 60))
		if commits < 4 {
			t.Errorf("only %d commits", commits)
		}
		wantFold(t, docs)
	})
}

func TestAStaleOwnerCannotWrite(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		stalled := &spy{Backend: open()}
		first, second := newShop(t, stalled), newShop(t, open())
		frozen, thaw := make(chan struct{}), make(chan struct{})
		refused := make(chan error, 1)
		stalled.set(func(_ context.Context, ops []store.Op, _ func() ([]store.Revision, error)) ([]store.Revision, error) {
			if !writes(ops) {
				select {
				case <-frozen:
					<-thaw // neither does the lease get renewed
				default:
				}
				return stalled.Backend.Apply(context.Background(), ops)
			}
			close(frozen)
			<-thaw
			_, err := stalled.Backend.Apply(context.Background(), ops) // the process wakes up and goes on where it was
			refused <- err
			stalled.set(nil)
			return nil, err
		})
		second.fill(t, 20, 3)
		p1, _ := first.totals("totals", quick(t))
		start(t, p1)
		<-frozen
		p2, docs := second.totals("totals", quick(t))
		start(t, p2)
		must(t, p2.WaitFor(t.Context(), 20))
		last := second.fill(t, 5, 5)
		must(t, p2.WaitFor(t.Context(), last))
		close(thaw)
		wantError(t, <-refused, store.ErrConflict)
		last = second.fill(t, 5, 5)
		must(t, p2.WaitFor(t.Context(), last))
		wantFold(t, docs)
	})
}

func TestABatchThatChangesTooMuchIsSplit(t *testing.T) {
	s := shopWith(t, memstore.New(memstore.Options{}), store.Options{Limits: store.Limits{MaxBatchOps: 64}})
	s.fill(t, 500, 100)
	p, docs := s.totals("totals", quick(t))
	start(t, p)
	must(t, p.WaitFor(t.Context(), 500))
	wantFold(t, docs)
}

func TestDocumentsOutsideOfTheCacheAreReadAgain(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		o := quick(t)
		o.CacheDocuments, o.BatchEvents = 3, 4
		p, _ := s.totals("totals", o)
		stop := start(t, p)
		must(t, p.WaitFor(t.Context(), s.fill(t, 40, 9)))
		stop()
		p, docs := s.totals("totals", o) // which begins with documents that do not fit
		start(t, p)
		must(t, p.WaitFor(t.Context(), s.fill(t, 40, 9)))
		wantFold(t, docs)
	})
}

func TestAPoisonedEventParksAndTheRestFlows(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		o := quick(t)
		o.DeadLetters = deadletter.New(s.Store, deadletter.Options{})
		p, docs := s.totals("totals", o)
		healed := make(chan struct{})
		projection.PerEntity(docs, func(d *total, e Poison, r event.Recorded) error {
			select {
			case <-healed:
				d.Cents += e.Cents
				return nil
			default:
				d.Cents = 1_000_000 // of which nothing may remain
				return errors.New("cannot handle this")
			}
		})
		s.fill(t, 10, 2)
		bad := s.add(t, "order-0", Poison{50})
		start(t, p)
		last := s.fill(t, 10, 2)
		must(t, p.WaitFor(t.Context(), last))
		if _, events := sums(t, docs); events != 20 {
			t.Errorf("%d events were counted, want 20", events)
		}
		if d, err := docs.Get(t.Context(), "0"); err != nil || d.Cents != 10 {
			t.Errorf("the document is %+v, %v", d, err)
		}
		if status := s.status(t, "totals"); status.DeadLetters != 1 || status.State != projection.StateLive {
			t.Errorf("status is %+v", status)
		}
		for letter, err := range o.DeadLetters.List(t.Context(), deadletter.Filter{Source: "projection/totals/"}) {
			must(t, err)
			if letter.Source != "projection/totals/1" || letter.Event.Position != bad || !strings.Contains(letter.Error, "cannot handle this") {
				t.Errorf("the letter is %+v", letter)
			}
			close(healed)
			must(t, o.DeadLetters.Retry(t.Context(), letter.ID))
		}
		eventually(t, "the retry", func() bool { return s.status(t, "totals").DeadLetters == 0 })
		if d, err := docs.Get(t.Context(), "0"); err != nil || d.Cents != 60 || d.Events != 10 {
			t.Errorf("after the retry the document is %+v, %v", d, err)
		}
	})
}

// brokenCodec cannot encode what the test has marked.
type brokenCodec struct{ schema.JSON }

func (c brokenCodec) Marshal(v any) ([]byte, error) {
	if v.(*total).Cents > 100 {
		return nil, errors.New("the read model is full")
	}
	return c.JSON.Marshal(v)
}

func TestAReadModelThatFailsToWriteFaultsAndSaysSo(t *testing.T) {
	s := memoryShop(t)
	p := projection.New(s.Store, s.registry, "totals", quick(t))
	docs := projection.NewDocuments(p, "totals", projection.DocumentOptions[total]{Codec: brokenCodec{}})
	projection.PerEntity(docs, func(d *total, e Added, r event.Recorded) error { return d.add(e.Cents, r) })
	set, err := projection.NewSet(p)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- set.Run(ctx) }()
	s.fill(t, 3, 1)
	s.add(t, "order-0", Added{200})
	s.fill(t, 3, 1)
	eventually(t, "the fault", func() bool {
		status, err := s.control.Status(t.Context(), "totals")
		return err == nil && status.State == projection.StateFaulted
	})
	status := s.status(t, "totals")
	if status.Position != 3 || !strings.Contains(status.Error, "the read model is full") || status.Lag != 4 {
		t.Errorf("status is %+v", status)
	}
	wantError(t, set.Health(t.Context()), nil, "faulted", "the read model is full")
	if d, err := docs.Get(t.Context(), "0"); err != nil || d.Events != 3 {
		t.Errorf("the document is %+v, %v", d, err)
	}
	stop()
	must(t, <-done)
}
