package projection_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
)

// countingLock tells how often it was taken.
type countingLock struct {
	sync.Mutex
	taken atomic.Int64
	held  atomic.Bool
}

func (l *countingLock) Lock()   { l.Mutex.Lock(); l.taken.Add(1); l.held.Store(true) }
func (l *countingLock) Unlock() { l.held.Store(false); l.Mutex.Unlock() }

func TestABuildHasItsOwnBatchesAndHandlersRunUnderTheLock(t *testing.T) {
	s := memoryShop(t)
	s.fill(t, 40, 1)
	o := quick(t)
	turn := &countingLock{}
	o.BatchEvents, o.RebuildBatchEvents, o.Exclusive = 5, 20, turn
	p := projection.New(s.Store, s.registry, "totals", o)
	docs := projection.NewDocuments(p, "totals", projection.DocumentOptions[total]{})
	projection.On(p, func(ctx context.Context, _ Added, r event.Recorded) error {
		if !turn.held.Load() {
			t.Errorf("position %d is handled without the lock", r.Position)
		}
		return docs.Put(ctx, r.Stream.Key(), total{})
	})
	start(t, p)
	must(t, p.WaitFor(t.Context(), 40))
	live := turn.taken.Swap(0)
	generation, err := projection.NewControl(s.Store).Rebuild(t.Context(), "totals", projection.RebuildOptions{})
	must(t, err)
	must(t, projection.NewControl(s.Store).Follow(t.Context(), "totals", generation, func(projection.Progress) {}))
	if built := turn.taken.Load(); live < 8 || built > 4 {
		t.Errorf("40 events took %d batches of 5, and %d of 20 when they were rebuilt", live, built)
	}
}
