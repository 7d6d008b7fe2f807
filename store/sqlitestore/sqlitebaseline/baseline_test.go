package sqlitebaseline

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/sqlitestore"
)

func TestBaseline(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	backend, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{AutoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(backend, store.Options{})
	defer s.Close()
	events := make([]event.Pending, 100)
	for i := range events {
		events[i] = event.Pending{Type: "x", Data: []byte(`{}`), Tags: []event.Tag{"k:1"}}
	}
	if _, err := s.Append(t.Context(), "a-1", store.NoStream(), events...); err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.Read(t.Context()); n != 100 || err != nil {
		t.Errorf("read %d rows, %v", n, err)
	}
	rows := func(stream string, n int) []event.Recorded {
		all := make([]event.Recorded, n)
		for i := range all {
			all[i] = event.Recorded{
				ID: event.NewID(), Stream: event.StreamID(stream), Version: event.Version(i + 1),
				Type: "x", ContentType: event.JSON, Data: []byte(`{}`), RawMetadata: []byte(`{}`), Tags: []event.Tag{"k:1", "k:1"},
			}
		}
		return all
	}
	for _, pool := range []int{1, 3} {
		if err := b.SetPool(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for _, row := range rows(fmt.Sprintf("pool%d-%d", pool, w), 5) {
					if err := b.Insert(t.Context(), []event.Recorded{row}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	if err := b.Bulk(t.Context(), rows("bulk-1", 1000)); err != nil {
		t.Error(err)
	}
	if err := b.SetPool(t.Context(), 0); err == nil {
		t.Error("a pool of no connections was accepted")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(path + ".bench*"); len(left) > 0 {
		t.Errorf("closing left %v", left)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
