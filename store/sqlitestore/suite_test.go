package sqlitestore

import (
	"path/filepath"
	"testing"

	"lexigram.dev/events/store"
	"lexigram.dev/events/store/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(t *testing.T) func(t *testing.T) store.Backend {
			path := filepath.Join(t.TempDir(), "events.db")
			return func(t *testing.T) store.Backend { return openTest(t, path, Options{}) }
		},
		Pause: func(_ *testing.T, b store.Backend) (<-chan struct{}, func()) {
			reached, resumed := make(chan struct{}), make(chan struct{})
			target := b.(*Backend)
			pause := func() {
				target.beforeCommit.Store(nil)
				close(reached)
				<-resumed
			}
			target.beforeCommit.Store(&pause)
			return reached, func() { close(resumed) }
		},
	})
}

// openTest opens a store, creates it where it is missing, and closes it at the end of the test.
func openTest(t testing.TB, path string, o Options) *Backend {
	t.Helper()
	o.AutoMigrate = !o.ReadOnly
	b, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) store.Backend {
		return openTest(b, filepath.Join(b.TempDir(), "events.db"), Options{})
	})
}

func BenchmarkScale(b *testing.B) {
	storetest.BenchmarkScale(b, func(b *testing.B) store.Backend {
		return openTest(b, filepath.Join(b.TempDir(), "events.db"), Options{})
	})
}
