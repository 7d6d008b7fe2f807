package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL for database/sql
	_ "modernc.org/sqlite"             // SQLite for database/sql

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

const postgresURL = "TEST_POSTGRES_URL"

// patience bounds each wait for something that must happen.
const patience = 30 * time.Second

// wire is a broker that remembers what it has confirmed, and does as a test says before and after.
type wire struct {
	*membroker.Broker

	before func(m []broker.Message) []error // nil: all pass; a nil answer too
	after  func(m []broker.Message)

	mu        sync.Mutex
	confirmed []broker.Message
	changed   chan struct{}
}

func newWire() *wire {
	return &wire{Broker: membroker.New(membroker.Options{}), changed: make(chan struct{}, 1)}
}

func (w *wire) Publish(ctx context.Context, messages []broker.Message) []error {
	var failed []error
	if w.before != nil {
		failed = w.before(messages)
	}
	if ctx.Err() != nil {
		return slices.Repeat([]error{ctx.Err()}, len(messages))
	}
	w.mu.Lock()
	for i, m := range messages {
		if failed == nil || failed[i] == nil {
			m.Body = slices.Clone(m.Body)
			w.confirmed = append(w.confirmed, m)
		}
	}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
	if w.after != nil {
		w.after(messages)
	}
	return failed
}

func (w *wire) sent() []broker.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.confirmed)
}

func (w *wire) ids() []string {
	var ids []string
	for _, m := range w.sent() {
		ids = append(ids, m.ID)
	}
	return ids
}

// waitFor waits until so many messages were confirmed.
func (w *wire) waitFor(t *testing.T, n int) []broker.Message {
	t.Helper()
	deadline := time.After(patience)
	for len(w.sent()) < n {
		select {
		case <-w.changed:
		case <-deadline:
			t.Fatalf("%d messages were sent, want %d: %q", len(w.sent()), n, w.ids())
		}
	}
	return w.sent()
}

// all gives one error for each of n messages.
func all(err error, messages []broker.Message) []error {
	return slices.Repeat([]error{err}, len(messages))
}

func newLetters() *deadletter.Letters {
	return deadletter.New(store.New(memstore.New(memstore.Options{}), store.Options{}), deadletter.Options{})
}

// await asks again and again until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func letters(t *testing.T, l *deadletter.Letters, f deadletter.Filter) []deadletter.Letter {
	t.Helper()
	var all []deadletter.Letter
	for letter, err := range l.List(t.Context(), f) {
		must(t, err)
		all = append(all, letter)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runner runs until the test ends or stop is called.
func start(t *testing.T, run func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			t.Error("it does not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

// base is a database with an outbox table.
type base struct {
	table outbox.Table
	db    *sql.DB
	open  func() *sql.DB // another handle, as another process has
}

// onEach runs a test on each kind of database.
func onEach(t *testing.T, test func(t *testing.T, b base)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

func sqlite(t *testing.T) base {
	path := filepath.Join(t.TempDir(), "user.db")
	b := base{table: outbox.Table{Dialect: outbox.SQLite, Name: "mail"}}
	b.open = func() *sql.DB {
		return openDB(t, "sqlite", "file:"+path+"?_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	}
	return b.migrated(t)
}

func postgres(t *testing.T) base {
	url := testserver.URL(t, postgresURL)
	id := event.NewID()
	schema := fmt.Sprintf("test_%x", id[:])
	b := base{table: outbox.Table{Dialect: outbox.PostgreSQL, Schema: schema, Name: "mail"}}
	b.open = func() *sql.DB { return openDB(t, "pgx", url) }
	admin := b.open()
	if _, err := admin.ExecContext(t.Context(), "create schema "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db, err := sql.Open("pgx", url)
		if err == nil {
			_, err = db.ExecContext(context.Background(), "drop schema "+schema+" cascade")
			_ = db.Close()
		}
		if err != nil {
			t.Error(err)
		}
	})
	return b.migrated(t)
}

func openDB(t *testing.T, driver, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (b base) migrated(t *testing.T) base {
	t.Helper()
	b.db = b.open()
	if _, err := b.table.Migrate(t.Context(), b.db); err != nil {
		t.Fatal(err)
	}
	return b
}

// write writes messages in a transaction of their own.
func (b base) write(t *testing.T, messages ...broker.Message) {
	t.Helper()
	tx, err := b.db.BeginTx(t.Context(), nil)
	must(t, err)
	must(t, b.table.Write(t.Context(), tx, messages...))
	must(t, tx.Commit())
}

// relay makes a relay that looks often and tries again soon.
func (b base) relay(t *testing.T, w broker.Backend, l *deadletter.Letters, change ...func(o *outbox.TableOptions)) *outbox.TableRelay {
	t.Helper()
	o := outbox.TableOptions{
		PollInterval: 10 * time.Millisecond, Retry: broker.Retry{Attempts: 3, Initial: time.Millisecond, Max: 20 * time.Millisecond},
		OnError: func(err error) { t.Log(err) }, PublishTimeout: 5 * time.Second,
	}
	for _, c := range change {
		c(&o)
	}
	r, err := outbox.NewTableRelay("main", b.open(), b.table, broker.New(w, broker.Options{}), l, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b base) count(t *testing.T, where string) (n int) {
	t.Helper()
	name := `"mail"`
	if b.table.Schema != "" {
		name = b.table.Schema + "." + name
	}
	must(t, b.db.QueryRowContext(t.Context(), "select count(*) from "+name+" where "+where).Scan(&n))
	return n
}

func message(id, key string) broker.Message {
	return broker.Message{ID: id, Topic: "mail", Key: key, Body: []byte("body of " + id)}
}
