package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func commitOf(stream event.StreamID, data ...byte) store.Commit {
	return store.Commit{Appends: []store.Append{{Stream: stream, Expected: store.Any(), Events: []event.Pending{{
		ID: event.NewID(), Type: "x", SchemaVersion: 1, ContentType: event.JSON, Data: data,
	}}}}}
}

func appendOne(t *testing.T, b *Backend, stream event.StreamID) {
	t.Helper()
	if _, err := b.Append(t.Context(), commitOf(stream)); err != nil {
		t.Fatal(err)
	}
}

// onWriter runs SQL on the backend's own write connection, between transactions.
func onWriter(t *testing.T, b *Backend, script string) {
	t.Helper()
	w, err := b.writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.put(w)
	if err := sqlitex.ExecuteScript(w.Conn, script, nil); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	b := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	appendOne(t, b, "a-1")
	onWriter(t, b, `pragma max_page_count = 40;`)
	large := make([]byte, 10_000)
	stored := event.Version(1)
	for {
		_, err := b.Append(t.Context(), commitOf("a-1", large...))
		if err == nil {
			stored++
			continue
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("got %v, want ErrFull", err)
		}
		break
	}
	if _, err := b.Apply(t.Context(), []store.Op{store.Put("b", "k", large)}); !errors.Is(err, store.ErrFull) {
		t.Errorf("Apply: got %v, want ErrFull", err)
	}
	err := b.Transact(t.Context(), func(ctx context.Context) error {
		_, _ = b.Append(ctx, commitOf("a-1", large...)) // an error that is ignored must not lead to a commit
		return nil
	})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("Transact: got %v, want ErrFull", err)
	}
	if versions := checkLog(t, b); versions["a-1"] != stored {
		t.Errorf("%d events are stored, %d were acknowledged", versions["a-1"], stored)
	}
	onWriter(t, b, `pragma max_page_count = 100000;`)
	res, err := b.Append(t.Context(), commitOf("a-1", large...))
	if err != nil || res.Version() != stored+1 || res.First != event.Position(stored)+1 {
		t.Errorf("with space again: got %+v, %v, want version %d", res, err, stored+1)
	}
	if _, err := b.Apply(t.Context(), []store.Op{store.Put("b", "k", large)}); err != nil {
		t.Error(err)
	}
}

// A deferred constraint that is broken makes the commit itself fail: the rows were all inserted by then.
func TestFailingCommit(t *testing.T) {
	b := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	appendOne(t, b, "a-1")
	onWriter(t, b, `create table p (id integer primary key); create table c (p integer references p (id) deferrable initially deferred);`)
	w, err := b.writer(t.Context()) // holds the writer goroutine up, so that the appends share a batch
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(w.Conn, `pragma foreign_keys = on`, nil); err != nil {
		t.Fatal(err)
	}
	breakCommit := func() {
		b.beforeCommit.Store(nil)
		stmt := w.Prep(`insert into c values (1)`)
		if err := run(stmt); err != nil {
			t.Error(err)
		}
	}
	b.beforeCommit.Store(&breakCommit)
	var wg sync.WaitGroup
	failures := make([]error, 8)
	for i := range failures {
		wg.Go(func() {
			_, failures[i] = b.Append(t.Context(), commitOf(event.StreamID(fmt.Sprintf("b-%d", i))))
		})
	}
	wg.Go(func() {
		if _, err := b.Apply(t.Context(), []store.Op{store.Put("b", "k", nil)}); err != nil {
			t.Logf("the record shared the failing transaction: %v", err)
		}
	})
	b.put(w)
	wg.Wait()
	failed := 0
	for _, err := range failures {
		if err != nil {
			failed++
			if !strings.Contains(err.Error(), "FOREIGN KEY") {
				t.Errorf("got %v, want the commit's error", err)
			}
		}
	}
	if failed == 0 {
		t.Error("no append failed with the commit")
	}
	if versions := checkLog(t, b); len(versions) != 1+len(failures)-failed {
		t.Errorf("the log has streams %v, but %d appends failed", versions, failed)
	}
	appendOne(t, b, "a-1")
	if versions := checkLog(t, b); versions["a-1"] != 2 {
		t.Errorf("got %v", versions)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	b := openTest(t, path, Options{BusyTimeout: 100 * time.Millisecond})
	appendOne(t, b, "a-1")
	other, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(other, `begin immediate`, nil); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(ctx context.Context) error{
		"Append": func(ctx context.Context) error { _, err := b.Append(ctx, commitOf("a-1")); return err },
		"Apply": func(ctx context.Context) error {
			_, err := b.Apply(ctx, []store.Op{store.Put("b", "k", nil)})
			return err
		},
		"Truncate": func(ctx context.Context) error { _, err := b.Truncate(ctx, "a-1", 1); return err },
		"Transact": func(ctx context.Context) error { return b.Transact(ctx, func(context.Context) error { return nil }) },
	}
	for name, call := range calls {
		if err := call(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "locked by another process") {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a deadline: got %v", name, err)
		}
		cancel()
	}
	if versions := checkLog(t, b); versions["a-1"] != 1 { // readers do not care
		t.Errorf("got %v", versions)
	}
	if err := errors.Join(sqlitex.ExecuteTransient(other, `rollback`, nil), other.Close()); err != nil {
		t.Fatal(err)
	}
	appendOne(t, b, "a-1")
	if versions := checkLog(t, b); versions["a-1"] != 2 {
		t.Errorf("an append whose call had ended was stored: %v", versions)
	}
}

// A program of another release may migrate the file while this one has it open.
func TestTablesMigratedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	b := openTest(t, path, Options{})
	appendOne(t, b, "a-1")
	execute(t, path, `alter table events add column extra text; pragma user_version = 99;`)
	if _, err := b.Append(t.Context(), commitOf("a-1")); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("got %v, want ErrIncompatible", err)
	}
}
