package admin_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func verified(t *testing.T, s *store.Store) admin.Verified {
	t.Helper()
	v, err := admin.New(s).Verify(t.Context(), admin.Verify{MaxIDs: 3})
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK() {
		t.Errorf("faults: %v", v.Faults)
	}
	return v
}

func TestVerifyFindsNothingInAnEmptyStore(t *testing.T) {
	verified(t, newStore(t))
}

func TestVerifyAcceptsTruncatedAndDeletedStreams(t *testing.T) {
	s := newStore(t)
	for range 10 {
		variety(t, s)
	}
	if _, err := s.Truncate(t.Context(), "order-1", 12); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), "order-2", store.Any()); err != nil {
		t.Fatal(err)
	}
	if v := verified(t, s); v.Removed != 21 || v.Events != 30 || v.Streams != 3 {
		t.Errorf("outcome = %+v", v)
	}
}

// damaged is a backend whose log reads with a fault.
type damaged struct {
	*memstore.Backend
	damage func(e *event.Recorded) (keep bool)
}

func (d damaged) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for e, err := range d.Backend.ReadLog(ctx, r) {
			if err == nil && !d.damage(&e) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestVerifyReportsEachKindOfFaultWhereItIs(t *testing.T) {
	var firstID event.ID
	for name, c := range map[string]struct {
		damage func(e *event.Recorded) bool
		want   string
	}{
		"a lost event":       {func(e *event.Recorded) bool { return e.Position != 4 }, "position 4: positions 4 to 4 are missing"},
		"a lost version":     {func(e *event.Recorded) bool { return e.Position != 3 }, "stream order-1, version 3, position 4: follows version 1"},
		"a lost beginning":   {func(e *event.Recorded) bool { return e.Position != 1 }, "stream order-1, version 2: the stream begins here, but 0 removed"},
		"a lost end":         {func(e *event.Recorded) bool { return e.Position != 5 }, "stream order-2, version 1: is listed, but has no events"},
		"a stream cut short": {func(e *event.Recorded) bool { return e.Position != 4 }, "stream order-1, version 3: is listed at this version, but ends at version 2"},
		"broken data": {func(e *event.Recorded) bool {
			if e.Position == 1 {
				e.Data = []byte(`{"n":`)
			}
			return true
		}, "stream order-1, version 1, position 1: the data of this order.placed is not valid JSON"},
		"broken metadata": {func(e *event.Recorded) bool {
			if e.Position == 2 {
				e.RawMetadata = []byte(`7`)
			}
			return true
		}, "stream image-1, version 1, position 2: decode metadata"},
		"an id twice": {func(e *event.Recorded) bool {
			if e.Position == 1 {
				firstID = e.ID
			}
			if e.Position == 5 {
				e.ID = firstID
			}
			return true
		}, "position 5: has the same event id"},
	} {
		t.Run(name, func(t *testing.T) {
			s := store.New(damaged{memstore.New(memstore.Options{}), c.damage}, store.Options{})
			defer s.Close()
			variety(t, s)
			v, err := admin.New(s).Verify(t.Context(), admin.Verify{MaxIDs: 2})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(fmt.Sprint(v.Faults), c.want) {
				t.Errorf("faults = %v, want %q among them", v.Faults, c.want)
			}
		})
	}
}

func TestVerifyDescribesSoManyFaultsAndCountsTheRest(t *testing.T) {
	s := newStore(t)
	variety(t, s)
	wrong := errors.New("the type is not registered")
	v, err := admin.New(s).Verify(t.Context(), admin.Verify{
		MaxFaults: 2, Check: func(*event.Recorded) error { return wrong },
	})
	if err != nil || len(v.Faults) != 2 || v.More < 3 || v.OK() {
		t.Errorf("outcome = %+v, %v", v, err)
	}
}

func TestMigrationsOfABackendWithoutTablesAreUnsupported(t *testing.T) {
	if _, err := admin.New(newStore(t)).Migrate(t.Context()); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("error = %v", err)
	}
}
