package migrate_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func memory() *store.Store { return store.New(memstore.New(memstore.Options{}), store.Options{}) }

// fill appends n events to some streams in turns, and a few that are not like others.
func fill(t *testing.T, s *store.Store, n int) {
	t.Helper()
	for i := range n {
		e := event.Pending{
			Type: "thing.done", Data: fmt.Appendf(nil, `{"n":%d}`, i), OccurredAt: time.Date(2020, 1, 2, 3, 4, 5, i*1000, time.UTC),
			Metadata: event.Metadata{Actor: "somebody", Custom: map[string]string{"z": "1", "a": "<2>"}},
		}
		switch i % 5 {
		case 1:
			e.Tags = []event.Tag{"y:2", "x:1", "y:2"}
		case 2:
			e.Data, e.ContentType, e.SchemaVersion = []byte{0, 0xff, byte(i)}, "application/x-thing", 7
		case 3:
			e.Data, e.Metadata = nil, event.Metadata{}
		}
		mustAppend(t, s, event.StreamID(fmt.Sprintf("thing-%d", i%4)), e)
	}
	_, err := s.Commit(t.Context(), store.Commit{Appends: []store.Append{
		{Stream: "order-ü 1", Expected: store.Any(), Events: []event.Pending{{Type: "a"}, {Type: "b", Tags: []event.Tag{"t:1"}}}},
		{Stream: "thing-1", Expected: store.StreamExists(), Events: []event.Pending{{Type: "c"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t *testing.T, s *store.Store, stream event.StreamID, events ...event.Pending) {
	t.Helper()
	if _, err := s.Append(t.Context(), stream, store.Any(), events...); err != nil {
		t.Fatal(err)
	}
}

func mustCopy(t *testing.T, from, to *store.Store, o migrate.Options) migrate.Copied {
	t.Helper()
	done, err := migrate.Copy(t.Context(), from, to, o)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// wantSame proves that both hold the same.
func wantSame(t *testing.T, from, to *store.Store, o migrate.Comparison) migrate.Compared {
	t.Helper()
	c, err := migrate.Compare(t.Context(), from, to, o)
	if err != nil {
		t.Fatal(err)
	}
	if !c.OK() || c.Source != c.Target {
		t.Fatalf("not the same: %+v", c)
	}
	return c
}

func head(t *testing.T, s *store.Store) event.Position {
	t.Helper()
	p, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// all is a backend with everything that copying uses.
type all interface {
	store.Backend
	store.Importer
	store.BucketLister
	store.Truncator
}

// flaky is a target on which some imports fail.
type flaky struct {
	all
	imports atomic.Int64

	// fail says how the import of this number ends: before it is done, or after.
	fail func(n int64) (before, after error)
}

func (f *flaky) Import(ctx context.Context, at event.Position, events []event.Recorded) error {
	before, after := f.fail(f.imports.Add(1))
	if before != nil {
		return before
	}
	if err := f.all.Import(ctx, at, events); err != nil {
		return err
	}
	return after
}
