package projection_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
)

// Writers append, a reader reads what it has waited for, and the model is made anew meanwhile, twice, in other partitions.
func TestARebuildUnderLoadLosesNothingAndIsNeverSeenHalfBuilt(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		s.fill(t, 200, 10)
		o := quick(t)
		o.BatchEvents = 20
		p, docs := s.totals("totals", o)
		start(t, p)
		must(t, p.WaitFor(t.Context(), 200))

		var wg sync.WaitGroup
		load, stop := context.WithCancel(t.Context())
		defer stop()
		var last atomic.Int64
		for w := range 2 {
			wg.Go(func() {
				for i := 0; load.Err() == nil; i++ {
					position, err := s.tryAdd(t.Context(), order((i+w)%10), Added{1})
					if err != nil {
						t.Error(err)
						return
					}
					for old := last.Load(); old < int64(position) && !last.CompareAndSwap(old, int64(position)); old = last.Load() {
					}
					if i%20 == 0 { // no faster than it is handled, or it would never be caught up with
						if err := p.WaitFor(t.Context(), position); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		wg.Go(func() {
			for load.Err() == nil {
				written := event.Position(last.Load()) // all up to here are events that count
				if err := p.WaitFor(t.Context(), written); err != nil {
					t.Error(err)
					return
				}
				seen := 0
				for d, err := range docs.List(t.Context(), projection.Page{}) {
					if errors.Is(err, projection.ErrGone) {
						seen = int(written) // it says that it cannot know
						break
					}
					if err != nil {
						t.Error(err)
						return
					}
					seen += d.Value.Events
				}
				if seen < int(written) {
					t.Errorf("%d events are seen, and %d were handled before", seen, written)
					return
				}
			}
		})
		for _, partitions := range []int{3, 1} {
			number, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{Partitions: partitions})
			must(t, err)
			reports := 0
			must(t, s.control.Follow(t.Context(), "totals", number, func(r projection.Progress) { reports++ }))
			if status := s.status(t, "totals"); status.Live.Number != number || status.Live.Partitions != partitions || len(status.Previous) != 1 {
				t.Errorf("after rebuild %d: %+v", number, status)
			}
		}
		stop()
		wg.Wait()
		must(t, p.WaitFor(t.Context(), event.Position(last.Load())))
		wantFold(t, docs)
		for _, number := range []int64{s.status(t, "totals").Previous[0].Number} { // it follows
			eventually(t, "the previous generation to follow", func() bool {
				v, err := docs.Generation(t.Context(), number)
				must(t, err)
				events := 0
				for d, err := range v.List(t.Context(), projection.Page{}) {
					must(t, err)
					events += d.Value.Events
				}
				return events == int(last.Load())
			})
		}
	})
}

// blocking makes a projection that stops, from its second generation on, before an event at this position.
func (s *shop) blocking(o projection.Options, at event.Position, reached, release chan struct{}, handled *atomic.Int64) (*projection.Projection, *projection.Documents[total]) {
	p := projection.New(s.Store, s.registry, "totals", o)
	docs := projection.NewDocuments(p, "totals", projection.DocumentOptions[total]{})
	once := sync.OnceFunc(func() { close(reached) })
	projection.On(p, func(ctx context.Context, e Added, r event.Recorded) error {
		if g, _ := projection.GenerationFrom(ctx); g.Number > 1 {
			handled.Add(1)
			if r.Position == at {
				once()
				select {
				case <-release:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return docs.Update(ctx, r.Stream.Key(), func(d *total) error { return d.add(e.Cents, r) })
	})
	return p, docs
}

func TestOneRebuildAtATimeAndOfKnownNames(t *testing.T) {
	s := memoryShop(t)
	s.fill(t, 20, 3)
	reached, release := make(chan struct{}), make(chan struct{})
	p, _ := s.blocking(quick(t), 10, reached, release, new(atomic.Int64))
	start(t, p)
	must(t, p.WaitFor(t.Context(), 20))
	number, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
	must(t, err)
	<-reached
	_, err = s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
	wantError(t, err, projection.ErrBuilding, "rebuild projection totals", fmt.Sprintf("generation %d", number))
	if status := s.status(t, "totals"); status.State != projection.StateRebuilding || status.Position != 20 || status.Building.Number != number {
		t.Errorf("status is %+v", status)
	}
	close(release)
	must(t, s.control.Follow(t.Context(), "totals", number, nil))

	_, err = s.control.Rebuild(t.Context(), "totel", projection.RebuildOptions{})
	wantError(t, err, projection.ErrUnknown, `unknown projection "totel"`, "known are totals")
	for _, err := range []error{
		s.control.Pause(t.Context(), "totel"), s.control.Resume(t.Context(), "totel"), s.control.Reset(t.Context(), "totel"),
		s.control.Cancel(t.Context(), "totel"), s.control.DropPrevious(t.Context(), "totel"), s.control.Follow(t.Context(), "totel", 1, nil),
	} {
		wantError(t, err, store.ErrNotFound, "known are totals")
	}
	wantError(t, s.control.Cancel(t.Context(), "totals"), projection.ErrNotBuilding)
}

func TestACancelledRebuildLeavesTheOldOneServingAndNothingBehind(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		s.fill(t, 20, 3)
		reached, release := make(chan struct{}), make(chan struct{})
		o := quick(t)
		o.BatchEvents = 5
		p, docs := s.blocking(o, 18, reached, release, new(atomic.Int64))
		start(t, p)
		must(t, p.WaitFor(t.Context(), 20))
		number, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
		must(t, err)
		<-reached
		if half, err := docs.Generation(t.Context(), number); err != nil {
			t.Error(err)
		} else if _, err := half.Get(t.Context(), "0"); err != nil {
			t.Errorf("the generation in the making has nothing to remove: %v", err)
		}
		must(t, s.control.Cancel(t.Context(), "totals"))
		close(release)
		wantError(t, s.control.Follow(t.Context(), "totals", number, nil), projection.ErrCancelled)
		must(t, p.WaitFor(t.Context(), s.fill(t, 5, 5)))
		wantFold(t, docs)
		if status := s.status(t, "totals"); status.Live.Number != 1 || status.Building != nil || status.State != projection.StateLive {
			t.Errorf("status is %+v", status)
		}
		eventually(t, "the removal", func() bool { return s.records(t, "projection/totals/2/totals") == 0 })
		if again, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{}); err != nil || again != number+1 {
			t.Errorf("the next rebuild is %d, %v", again, err)
		}
	})
}

func (s *shop) records(tb testing.TB, bucket string) int {
	tb.Helper()
	n := 0
	for _, err := range s.Scan(tb.Context(), store.Scan{Bucket: bucket}) {
		must(tb, err)
		n++
	}
	return n
}

func TestARebuildGoesOnAfterACrash(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		dying := &spy{Backend: open()}
		s := newShop(t, dying)
		s.fill(t, 100, 7)
		var handled atomic.Int64
		reached, thaw := make(chan struct{}), make(chan struct{})
		o := quick(t)
		o.BatchEvents = 10
		p, _ := s.blocking(o, 75, reached, nil, &handled)
		start(t, p)
		must(t, p.WaitFor(t.Context(), 100))
		number, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
		must(t, err)
		<-reached
		dying.set(func(context.Context, []store.Op, func() ([]store.Revision, error)) ([]store.Revision, error) {
			<-thaw // as if the process were gone: it writes nothing any more, and renews no lease
			return nil, store.ErrUnavailable
		})
		defer func() { dying.set(nil); close(thaw) }()
		other := newShop(t, open())
		handled.Store(0)
		p, docs := other.blocking(quick(t), 0, make(chan struct{}), nil, &handled)
		start(t, p)
		must(t, other.control.Follow(t.Context(), "totals", number, nil))
		wantFold(t, docs)
		if n := handled.Load(); n > 60 {
			t.Errorf("%d events were handled after the crash: it has begun anew", n)
		}
	})
}

func TestOneCanSwitchBackAndForth(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		p, docs := s.totals("totals", quick(t))
		start(t, p)
		must(t, p.WaitFor(t.Context(), s.fill(t, 20, 3)))
		_, err := s.control.SwitchBack(t.Context(), "totals")
		wantError(t, err, projection.ErrNoPrevious)
		number, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
		must(t, err)
		must(t, s.control.Follow(t.Context(), "totals", number, nil))
		for _, want := range []int64{1, 2, 1} {
			last := s.fill(t, 10, 4)
			number, err := s.control.SwitchBack(t.Context(), "totals")
			must(t, err)
			must(t, s.control.Follow(t.Context(), "totals", number, nil))
			if status := s.status(t, "totals"); number != want || status.Live.Number != want {
				t.Errorf("switched to %d, want %d: %+v", number, want, status)
			}
			must(t, p.WaitFor(t.Context(), last))
			wantFold(t, docs)
		}
		must(t, s.control.DropPrevious(t.Context(), "totals"))
		eventually(t, "the removal", func() bool {
			return s.records(t, "projection/totals/2/totals")+s.records(t, "projection/totals/2/totals/index") == 0
		})
		wantFold(t, docs)
	})
}

func TestANewVersionIsBuiltBesideTheOldOne(t *testing.T) {
	s := memoryShop(t)
	s.fill(t, 30, 3)
	p, docs := s.totals("totals", quick(t))
	stop := start(t, p)
	must(t, p.WaitFor(t.Context(), 30))
	stop()

	o := quick(t)
	o.Version = 2
	p = projection.New(s.Store, s.registry, "totals", o)
	renewed := projection.NewDocuments(p, "totals", projection.DocumentOptions[total]{})
	reached, release := make(chan struct{}), make(chan struct{})
	projection.PerEntity(renewed, func(d *total, e Added, r event.Recorded) error {
		if r.Position == 20 {
			close(reached)
			<-release
		}
		d.Seen = "version 2"
		return d.add(e.Cents, r)
	})
	start(t, p)
	<-reached
	if d, err := docs.Get(t.Context(), "0"); err != nil || d.Events != 10 || d.Seen != "" {
		t.Errorf("while version 2 is built readers see %+v, %v", d, err)
	}
	close(release)
	eventually(t, "the switch", func() bool { return s.status(t, "totals").Live.Version == 2 })
	if d, err := renewed.Get(t.Context(), "0"); err != nil || d.Events != 10 || d.Seen != "version 2" {
		t.Errorf("after the switch readers see %+v, %v", d, err)
	}

	// Code of the old version that starts again leaves it as it is.
	p, _ = s.totals("totals", quick(t))
	start(t, p)
	must(t, p.WaitFor(t.Context(), s.fill(t, 1, 1)))
	if status := s.status(t, "totals"); status.Live.Version != 2 || status.Building != nil {
		t.Errorf("status is %+v", status)
	}
}

func TestPauseResumeAndReset(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		s := newShop(t, open())
		p, docs := s.totals("totals", quick(t))
		start(t, p)
		must(t, p.WaitFor(t.Context(), s.fill(t, 10, 2)))
		must(t, s.control.Pause(t.Context(), "totals"))
		eventually(t, "the pause", func() bool {
			status := s.status(t, "totals")
			return status.State == projection.StatePaused && len(status.Owners) == 1 && status.Owners[0] == ""
		})
		last := s.fill(t, 5, 2)
		if status := s.status(t, "totals"); status.Position != 10 || status.Lag != 5 || status.LagTime <= 0 {
			t.Errorf("paused status is %+v", status)
		}
		must(t, s.control.Resume(t.Context(), "totals"))
		must(t, p.WaitFor(t.Context(), last))
		wantFold(t, docs)

		must(t, s.control.Reset(t.Context(), "totals"))
		eventually(t, "a new generation", func() bool { return s.status(t, "totals").Position == last })
		wantFold(t, docs)
		if status := s.status(t, "totals"); status.Live.Number != 2 || len(status.Previous) != 0 {
			t.Errorf("status after the reset is %+v", status)
		}
		eventually(t, "the removal", func() bool { return s.records(t, "projection/totals/1/totals") == 0 })
		names := 0
		for status, err := range s.control.List(t.Context()) {
			must(t, err)
			names++
			if status.Name != "totals" {
				t.Errorf("listed is %+v", status)
			}
		}
		if names != 1 {
			t.Errorf("%d projections are listed", names)
		}
	})
}
