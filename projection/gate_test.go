package projection_test

import (
	"context"
	"strings"
	"testing"

	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
)

// holdUp makes the next write of documents to a bucket wait until it is let go, and gives what came of it then.
func (s *spy) holdUp(bucket string) (reached chan struct{}, letGo chan struct{}, outcome chan error) {
	reached, letGo, outcome = make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s.set(func(_ context.Context, ops []store.Op, do func() ([]store.Revision, error)) ([]store.Revision, error) {
		for _, op := range ops {
			if strings.HasPrefix(op.Bucket, bucket) {
				s.set(nil)
				close(reached)
				<-letGo
				revisions, err := do()
				outcome <- err
				return revisions, err
			}
		}
		return do()
	})
	return reached, letGo, outcome
}

func TestALateWriteToADroppedGenerationIsRefused(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		late := &spy{Backend: open()}
		s := newShop(t, late)
		p, docs := s.totals("totals", quick(t))
		start(t, p)
		must(t, p.WaitFor(t.Context(), s.fill(t, 10, 2)))
		reached, letGo, outcome := late.holdUp("projection/totals/2/")
		_, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
		must(t, err)
		<-reached
		must(t, s.control.Cancel(t.Context(), "totals"))
		close(letGo)
		wantError(t, <-outcome, store.ErrConflict, "projections.gates/totals@2/0")
		eventually(t, "the removal", func() bool {
			return s.status(t, "totals").Building == nil && s.records(t, "projection/totals/2/totals") == 0
		})
		wantFold(t, docs)
	})
}

func TestALateWriteToTheLiveGenerationCannotOvertakeASwitch(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		late := &spy{Backend: open()}
		s := newShop(t, late)
		p, docs := s.totals("totals", quick(t))
		start(t, p)
		must(t, p.WaitFor(t.Context(), s.fill(t, 10, 2)))
		number, err := s.control.Rebuild(t.Context(), "totals", projection.RebuildOptions{})
		must(t, err)
		must(t, s.control.Follow(t.Context(), "totals", number, nil))
		reached, letGo, outcome := late.holdUp("projection/totals/2/") // the live one
		last := s.fill(t, 1, 1)
		<-reached
		number, err = s.control.SwitchBack(t.Context(), "totals")
		must(t, err)
		must(t, s.control.Follow(t.Context(), "totals", number, nil))
		close(letGo)
		wantError(t, <-outcome, store.ErrConflict, "projections.gates/totals@2/0")
		must(t, p.WaitFor(t.Context(), last))
		wantFold(t, docs)
		eventually(t, "the former live one to follow", func() bool {
			v, err := docs.Generation(t.Context(), 2)
			must(t, err)
			d, err := v.Get(t.Context(), "0")
			return err == nil && d.Events == 6
		})
	})
}
