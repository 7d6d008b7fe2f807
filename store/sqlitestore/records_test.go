package sqlitestore

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/store"
)

// clock is a time that tests set.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func TestRecordsExpireByTheClock(t *testing.T) {
	var at clock
	at.advance(1000 * time.Hour)
	b := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{Now: at.now})
	apply := func(ops ...store.Op) ([]store.Revision, error) { return b.Apply(t.Context(), ops) }
	first, err := apply(store.Put("b", "k", []byte("v")).For(time.Minute), store.Put("b", "other", nil))
	if err != nil {
		t.Fatal(err)
	}
	at.advance(time.Minute - time.Microsecond)
	if r, err := b.Get(t.Context(), "b", "k"); err != nil || !r.ExpiresAt.Equal(at.now().Add(time.Microsecond)) {
		t.Errorf("before its end: got %+v, %v", r, err)
	}
	at.advance(time.Microsecond)
	if _, err := b.Get(t.Context(), "b", "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("at its end: got %v", err)
	}
	for r, err := range b.Scan(t.Context(), store.Scan{Bucket: "b"}) {
		if err != nil || r.Key != "other" {
			t.Errorf("the scan gave %+v, %v", r, err)
		}
	}
	again, err := apply(store.Put("b", "k", nil).When(store.IfAbsent()))
	if err != nil || again[0] <= first[1] {
		t.Errorf("got %v, %v: want a revision greater than %v", again, err, first)
	}
}

func TestExpiredRecordsAreSwept(t *testing.T) {
	var at clock
	at.advance(1000 * time.Hour)
	b := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{Now: at.now})
	var ops []store.Op
	for i := range 300 {
		ops = append(ops, store.Put("b", fmt.Sprintf("k%d", i), nil).For(time.Second))
	}
	if _, err := b.Apply(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	count := func() int64 {
		c, release, err := b.reader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		n, err := c.number(`select count(*) from records`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, left := range []int64{301 - 256, 1} {
		at.advance(2 * time.Second)
		if _, err := b.Apply(t.Context(), []store.Op{store.Put("b", "live", nil)}); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != left {
			t.Errorf("%d records are left, want %d", n, left)
		}
	}
}

// Records ride in the transactions of appends and of each other; each keeps its own outcome.
func TestRecordsShareTransactions(t *testing.T) {
	b := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	w, err := b.writer(t.Context()) // all that follows waits, and so comes to share transactions
	if err != nil {
		t.Fatal(err)
	}
	const n = 40
	var stored, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			ops := []store.Op{store.Put("own", fmt.Sprint(i), nil), store.Put("b", "one", nil).When(store.IfAbsent())}
			switch revisions, err := b.Apply(t.Context(), ops); {
			case err == nil && len(revisions) == 2:
				stored.Add(1)
			case errors.Is(err, store.ErrConflict):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := b.Append(t.Context(), commitOf("a-1")); err != nil {
				t.Error(err)
			}
		})
	}
	b.put(w)
	wg.Wait()
	if stored.Load() != 1 || refused.Load() != n-1 {
		t.Errorf("%d were stored, %d refused", stored.Load(), refused.Load())
	}
	own := 0
	for _, err := range b.Scan(t.Context(), store.Scan{Bucket: "own"}) {
		if err != nil {
			t.Fatal(err)
		}
		own++
	}
	if own != 1 {
		t.Errorf("%d records of refused batches are there", own-1)
	}
	if versions := checkLog(t, b); versions["a-1"] != n {
		t.Errorf("got %v", versions)
	}
}
