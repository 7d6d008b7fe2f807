package pgstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/storetest"
)

// The servers that the tests run on, by the variable that names their URL.
const (
	debianServer = "TEST_POSTGRES_URL"
	oldestServer = "TEST_POSTGRES_OLDEST_URL"
	newestServer = "TEST_POSTGRES_NEWEST_URL"
)

// newSchema names a schema for one test, which is dropped when the test ends.
func newSchema(tb testing.TB, url string) string {
	tb.Helper()
	id := event.NewID()
	name := fmt.Sprintf("test_%x", id[:])
	tb.Cleanup(func() { execute(tb, url, `drop schema if exists `+name+` cascade`) })
	return name
}

// connect opens a connection for the test's own SQL.
func connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(tb testing.TB, url, sql string) {
	tb.Helper()
	if _, err := connect(tb, url).Exec(context.Background(), sql); err != nil {
		tb.Error(err)
	}
}

// open opens a store; it is closed when the test ends.
func open(tb testing.TB, url string, o pgstore.Options) *pgstore.Backend {
	tb.Helper()
	o.AutoMigrate = true
	b, err := pgstore.Open(tb.Context(), url, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// harness remembers in which schema a backend is, for Pause.
type harness struct {
	url  string
	mode pgstore.AppendMode

	mu      sync.Mutex
	schemas map[store.Backend]string
}

func (h *harness) newStore(t *testing.T) func(t *testing.T) store.Backend {
	schema := newSchema(t, h.url)
	return func(t *testing.T) store.Backend {
		b := open(t, h.url, pgstore.Options{Schema: schema, AppendMode: h.mode})
		h.mu.Lock()
		defer h.mu.Unlock()
		h.schemas[b] = schema
		return b
	}
}

func (h *harness) pause(t *testing.T, b store.Backend) (<-chan struct{}, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := pauseCommits(t, h.url, h.schemas[b])
	return p.reached, p.resume
}

// paused is an append that stands in mid-commit.
type paused struct {
	reached <-chan struct{} // closed when it stands there
	resume  func()
	pid     func() int // of the server process that runs it
}

// pauseCommits makes the next append stop in mid-commit: a deferred trigger runs after everything else and waits for a
// lock that the test holds.
func pauseCommits(t *testing.T, url, schema string) paused {
	t.Helper()
	ctx := context.Background()
	holder, watcher := connect(t, url), connect(t, url)
	id := event.NewID()
	key := int64(id[15]) | int64(id[14])<<8 | int64(id[13])<<16
	for _, sql := range []string{
		fmt.Sprintf(`select pg_advisory_lock(%d)`, key),
		fmt.Sprintf(`create function %s.pause() returns trigger language plpgsql as $f$ begin perform pg_advisory_xact_lock_shared(%d); return null; end $f$`, schema, key),
		fmt.Sprintf(`create constraint trigger pause after insert on %s.events deferrable initially deferred for each row execute function %[1]s.pause()`, schema),
	} {
		if _, err := holder.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	reached := make(chan struct{})
	var pid int
	go func() {
		defer close(reached)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for t.Context().Err() == nil {
			err := watcher.QueryRow(ctx, `select pid from pg_locks where locktype = 'advisory' and objid = $1::bigint::oid and classid = 0 and not granted limit 1`, key).Scan(&pid)
			if err == nil {
				return
			}
			<-tick.C
		}
	}()
	return paused{
		reached: reached,
		pid:     func() int { <-reached; return pid },
		resume: func() {
			if _, err := holder.Exec(ctx, `select pg_advisory_unlock($1)`, key); err != nil {
				t.Error(err)
			}
		},
	}
}

func TestSuite(t *testing.T) {
	for _, s := range []struct {
		name, variable string
		mode           pgstore.AppendMode
	}{
		{"debian/copy", debianServer, pgstore.Copy},
		{"debian/function", debianServer, pgstore.Function},
		{"oldest/copy", oldestServer, pgstore.Copy},
		{"oldest/function", oldestServer, pgstore.Function},
		{"newest/copy", newestServer, pgstore.Copy},
		{"newest/function", newestServer, pgstore.Function},
	} {
		t.Run(s.name, func(t *testing.T) {
			h := &harness{url: testserver.URL(t, s.variable), mode: s.mode, schemas: map[store.Backend]string{}}
			storetest.Run(t, storetest.Harness{New: h.newStore, Pause: h.pause})
		})
	}
}

func BenchmarkSuite(b *testing.B) {
	url := testserver.URL(b, debianServer)
	storetest.Benchmark(b, func(b *testing.B) store.Backend {
		return open(b, url, pgstore.Options{Schema: newSchema(b, url)})
	})
}

func BenchmarkScale(b *testing.B) {
	url := testserver.URL(b, debianServer)
	storetest.BenchmarkScale(b, func(b *testing.B) store.Backend {
		return open(b, url, pgstore.Options{Schema: newSchema(b, url)})
	})
}
