package sqlitestore

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Under load and with readers that never pause, the write-ahead log is used again from its start instead of growing,
// and neither reader nor writer meets an error.
func TestCheckpointsBoundTheLog(t *testing.T) {
	const pages, writers, each = 50, 8, 300
	path := filepath.Join(t.TempDir(), "events.db")
	b := openTest(t, path, Options{checkpointPages: pages})
	data := make([]byte, 2000)
	var done atomic.Bool
	var readers, appends sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			next := event.Position(1)
			for !done.Load() {
				for e, err := range b.ReadLog(t.Context(), store.LogRead{From: next, Limit: 100}) {
					if err != nil || e.Position != next {
						t.Errorf("position %d after %d: %v", e.Position, next-1, err)
						return
					}
					next++
				}
			}
		})
	}
	for w := range writers {
		appends.Go(func() {
			for i := range each {
				if _, err := b.Append(t.Context(), commitOf(event.StreamID(fmt.Sprintf("s-%d-%d", w, i%40)), data...)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	appends.Wait()
	done.Store(true)
	readers.Wait()
	log, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	// Writing goes on while a checkpoint runs, so the bound is soft; without one the log would be as long as all that
	// was written.
	if written := int64(writers * each * 2 * 4096); log.Size() > written/2 {
		t.Errorf("the write-ahead log has %d bytes, after some %d were written", log.Size(), written)
	}
	checkLog(t, b)
}

// When the write-ahead log is long, the writer is held while it is merged to its end, and then begins at its start.
func TestLongLogStartsAnew(t *testing.T) {
	b := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	const commits = 100
	for range commits {
		appendOne(t, b, "a-1")
	}
	c, err := openConn(b.path, b.openFlags())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.restartLog(c)
	appendOne(t, b, "a-1")
	if pages := merge(c, sqlPassive); pages == 0 || pages >= commits {
		t.Errorf("the log has %d pages after one commit", pages)
	}
}
