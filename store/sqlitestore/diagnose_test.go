package sqlitestore_test

import (
	"errors"
	"path/filepath"
	"testing"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/sqlitestore"
)

func TestAFileIsExamined(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	for synchronous, want := range map[sqlitestore.Synchronous]checkup.Level{sqlitestore.Full: checkup.OK, sqlitestore.Normal: checkup.Warn} {
		b, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{AutoMigrate: true, Synchronous: synchronous})
		if err != nil {
			t.Fatal(err)
		}
		findings, err := b.Diagnose(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, check := range []string{"version", "journal mode", "permissions", "write-ahead log"} {
			if f, ok := checkup.Find(findings, check); !ok || f.Level != checkup.OK || f.Found == "" {
				t.Errorf("%s: %+v", check, f)
			}
		}
		if f, _ := checkup.Find(findings, "durability"); f.Level != want {
			t.Errorf("synchronous=%v: %+v", synchronous, f)
		}
		if _, ok := checkup.Find(findings, "free space"); !ok {
			t.Errorf("the disk is not told of: %+v", findings)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileThatIsNotThereIsToldOfWhatCanBe(t *testing.T) {
	b, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "none.db"), sqlitestore.Options{Pending: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	findings, err := b.Diagnose(t.Context())
	if !errors.Is(err, store.ErrNotFound) || len(findings) == 0 {
		t.Errorf("got %v, %v", findings, err)
	}
}
