// Package sqlitebaseline is what a SQLite store is measured against: the same rows in tables of the same columns and
// indexes, through the bare driver, without any of the store's promises. The bench command uses it; programs do not.
package sqlitebaseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store/sqlitestore"
)

const (
	columns   = `position, stream, version, type, schema_version, content_type, id, occurred_at, recorded_at, tags, metadata, data`
	sqlInsert = `insert into events (` + columns + `) values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlTag    = `insert or ignore into event_tags (tag, position) values (?, ?)`
	sqlRead   = `select ` + columns + ` from events order by position`
)

// Baseline writes into a scratch file beside a store, and reads the store's own table.
type Baseline struct {
	store, scratch string

	mu   sync.RWMutex // held for writing while the pool is changed
	pool chan *sqlite.Conn
	size int
}

// Open makes the scratch file, path with ".bench" appended, anew.
func Open(ctx context.Context, path string) (*Baseline, error) {
	b := &Baseline{store: path, scratch: path + ".bench"}
	if err := b.remove(); err != nil {
		return nil, fmt.Errorf("open baseline %s: %w", b.scratch, err)
	}
	tables, err := sqlitestore.Open(ctx, b.scratch, sqlitestore.Options{AutoMigrate: true})
	if err != nil {
		return nil, err
	}
	if err := tables.Close(); err != nil {
		return nil, err
	}
	if err := b.SetPool(ctx, 1); err != nil {
		return nil, errors.Join(err, b.remove())
	}
	return b, nil
}

// SetPool sets how many connections insert. They take turns at SQLite's one write lock, so 1 is best.
func (b *Baseline) SetPool(_ context.Context, n int) error {
	if n < 1 {
		return fmt.Errorf("set pool of baseline %s: %d connections: must be at least 1", b.scratch, n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.closePool(); err != nil {
		return err
	}
	b.pool = make(chan *sqlite.Conn, n)
	for range n {
		c, err := sqlite.OpenConn(b.scratch, sqlite.OpenReadWrite|sqlite.OpenWAL)
		if err != nil {
			return err
		}
		b.pool <- c
		b.size++
		if err := sqlitex.ExecuteTransient(c, `pragma synchronous = full`, nil); err != nil {
			return err
		}
	}
	return nil
}

// Insert stores the rows in one transaction, with one INSERT for each. Nothing is checked, and positions are those that
// SQLite gives.
func (b *Baseline) Insert(ctx context.Context, rows []event.Recorded) (err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var c *sqlite.Conn
	select {
	case c = <-b.pool:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { b.pool <- c }()
	if len(rows) > 1 || len(rows) == 1 && len(rows[0].Tags) > 0 { // a single statement is a transaction already
		end, err := sqlitex.ImmediateTransaction(c)
		if err != nil {
			return fmt.Errorf("insert into baseline: %w", err)
		}
		defer end(&err)
	}
	for i := range rows {
		if err := insert(c, &rows[i]); err != nil {
			return fmt.Errorf("insert into baseline: %w", err)
		}
	}
	return nil
}

// Bulk stores the rows in one transaction: the fastest way that SQLite has. Callers give some 5,000.
func (b *Baseline) Bulk(ctx context.Context, rows []event.Recorded) error { return b.Insert(ctx, rows) }

func insert(c *sqlite.Conn, e *event.Recorded) error {
	stmt, err := c.Prepare(sqlInsert)
	if err != nil {
		return err
	}
	stmt.BindText(1, string(e.Stream))
	stmt.BindInt64(2, int64(e.Version))
	stmt.BindText(3, e.Type)
	stmt.BindInt64(4, int64(e.SchemaVersion))
	stmt.BindText(5, e.ContentType)
	stmt.BindBytes(6, e.ID[:])
	stmt.BindInt64(7, e.OccurredAt.UnixMicro())
	stmt.BindInt64(8, e.RecordedAt.UnixMicro())
	stmt.BindNull(9)
	if len(e.Tags) > 0 {
		tags, err := json.Marshal(e.Tags)
		if err != nil {
			return err
		}
		stmt.BindText(9, string(tags))
	}
	stmt.BindBytes(10, e.RawMetadata)
	stmt.BindBytes(11, e.Data)
	if _, err := stmt.Step(); err != nil {
		return err
	}
	if len(e.Tags) == 0 {
		return stmt.Reset()
	}
	position := c.LastInsertRowID()
	for _, tag := range e.Tags {
		if stmt, err = c.Prepare(sqlTag); err != nil {
			return err
		}
		stmt.BindText(1, string(tag))
		stmt.BindInt64(2, position)
		if _, err := stmt.Step(); err != nil {
			return err
		}
	}
	return nil
}

// Read reads the store's own events in the order of their positions, with one statement. It touches each value of each
// row and makes nothing of them. It returns the number of rows.
func (b *Baseline) Read(ctx context.Context) (rows int64, err error) {
	c, err := sqlite.OpenConn(b.store, sqlite.OpenReadOnly)
	if err != nil {
		return 0, fmt.Errorf("read baseline: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx.Done())
	stmt, err := c.Prepare(sqlRead)
	if err != nil {
		return 0, fmt.Errorf("read baseline: %w", err)
	}
	buf := make([]byte, 64<<10)
	var sum int64 // keeps the values in use
	for {
		row, err := stmt.Step()
		if err != nil {
			return rows, fmt.Errorf("read baseline: %w", err)
		}
		if !row {
			break
		}
		rows++
		for _, col := range [...]int{0, 2, 4, 7, 8} {
			sum += stmt.ColumnInt64(col)
		}
		for _, col := range [...]int{1, 3, 5, 6, 9, 10, 11} {
			sum += int64(stmt.ColumnBytes(col, buf))
		}
	}
	if rows > 0 && sum == 0 {
		return rows, errors.New("read baseline: the rows are empty")
	}
	return rows, nil
}

// Close removes the scratch file.
func (b *Baseline) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.closePool(), b.remove())
}

func (b *Baseline) closePool() error {
	var failures []error
	for ; b.size > 0; b.size-- {
		failures = append(failures, (<-b.pool).Close())
	}
	return errors.Join(failures...)
}

func (b *Baseline) remove() error {
	for _, suffix := range [...]string{"", "-wal", "-shm"} {
		if err := os.Remove(b.scratch + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
