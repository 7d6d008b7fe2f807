// Package pgbaseline is what a PostgreSQL store is measured against: the same rows in tables of the same columns and
// indexes, through bare pgx, without any of the store's promises. The bench command uses it; programs do not.
package pgbaseline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store/pgstore"
)

// pageSize is how many rows a raw read asks for at once; the fastest of those that were tried.
const pageSize = 5000

// Baseline writes into a scratch schema beside a store, and reads the store's own table.
type Baseline struct {
	dsn             string // without the parameter schema
	schema, scratch string

	mu   sync.RWMutex // held for writing while the pool is changed
	pool *pgxpool.Pool
}

// Open makes the scratch schema, that of the store with "_bench" appended, anew.
func Open(ctx context.Context, dsn string) (*Baseline, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("open baseline: the DSN is not a valid URL")
	}
	query := u.Query()
	b := &Baseline{schema: query.Get("schema")}
	if b.schema == "" {
		b.schema = "lexigram"
	}
	b.scratch = b.schema + "_bench"
	query.Del("schema")
	u.RawQuery = query.Encode()
	b.dsn = u.String()
	if err := b.SetPool(ctx, 8); err != nil {
		return nil, err
	}
	if err := b.drop(ctx); err != nil {
		b.pool.Close()
		return nil, err
	}
	tables, err := pgstore.Open(ctx, b.dsn, pgstore.Options{Schema: b.scratch, AutoMigrate: true})
	if err != nil {
		b.pool.Close()
		return nil, err
	}
	return b, tables.Close()
}

func (b *Baseline) drop(ctx context.Context) error {
	if _, err := b.pool.Exec(ctx, `drop schema if exists `+pgx.Identifier{b.scratch}.Sanitize()+` cascade`); err != nil {
		return fmt.Errorf("drop baseline schema %s: %w", b.scratch, err)
	}
	return nil
}

// SetPool sets how many connections insert.
func (b *Baseline) SetPool(ctx context.Context, n int) error {
	config, err := pgxpool.ParseConfig(b.dsn)
	if err != nil {
		return errors.New("open baseline: the DSN cannot be used")
	}
	if n < 1 || n > 1000 {
		return fmt.Errorf("set pool of baseline %s: %d connections: must be 1 to 1000", b.scratch, n)
	}
	config.MaxConns = int32(n)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open baseline: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pool != nil {
		b.pool.Close()
	}
	b.pool = pool
	return nil
}

const (
	insertColumns = `id, stream, version, type, schema_version, content_type, data, metadata, tags, occurred_at`
	readColumns   = `position, id, stream, version, type, schema_version, content_type, data, metadata, tags, occurred_at, recorded_at`
)

// Insert stores the rows in one transaction, with one prepared INSERT for each. Nothing is checked, and positions are
// those that the sequence gives. Tags are stored with the row only.
func (b *Baseline) Insert(ctx context.Context, rows []event.Recorded) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	insert := `insert into ` + b.scratch + `.events (` + insertColumns + `) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	var err error
	if len(rows) == 1 { // a single statement is a transaction already
		_, err = b.pool.Exec(ctx, insert, values(&rows[0])...)
	} else {
		batch := &pgx.Batch{} // one round trip and one transaction
		for i := range rows {
			batch.Queue(insert, values(&rows[i])...)
		}
		err = b.pool.SendBatch(ctx, batch).Close()
	}
	if err != nil {
		return fmt.Errorf("insert into baseline: %w", err)
	}
	return nil
}

// Bulk stores the rows by one binary COPY: the fastest way that PostgreSQL has.
func (b *Baseline) Bulk(ctx context.Context, rows []event.Recorded) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return values(&rows[i]), nil })
	if _, err := b.pool.CopyFrom(ctx, pgx.Identifier{b.scratch, "events"}, strings.Split(insertColumns, ", "), source); err != nil {
		return fmt.Errorf("copy into baseline: %w", err)
	}
	return nil
}

func values(e *event.Recorded) []any {
	var tags []string
	for _, tag := range e.Tags {
		tags = append(tags, string(tag))
	}
	return []any{
		[16]byte(e.ID), string(e.Stream), int64(e.Version), e.Type, int32(e.SchemaVersion), e.ContentType, //nolint:gosec // checked by the store
		e.Data, e.RawMetadata, tags, e.OccurredAt,
	}
}

// Read reads the store's own events in the order of their positions, page by page on one connection. It touches the raw
// value of each column and makes nothing of them. It returns the number of rows.
func (b *Baseline) Read(ctx context.Context) (int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("read baseline: %w", err)
	}
	defer conn.Release()
	read := fmt.Sprintf(`select %s from %s.events where position > $1 order by position limit %d`, readColumns, b.schema, pageSize)
	var total, touched int64
	for last := int64(0); ; {
		rows, err := conn.Query(ctx, read, last)
		if err != nil {
			return total, fmt.Errorf("read baseline: %w", err)
		}
		n := 0
		for ; rows.Next(); n++ {
			raw := rows.RawValues()
			for _, value := range raw {
				touched += int64(len(value))
			}
			last = 0
			for _, c := range raw[0] {
				last = last<<8 | int64(c)
			}
		}
		if err := rows.Err(); err != nil {
			return total, fmt.Errorf("read baseline: %w", err)
		}
		total += int64(n)
		if n < pageSize {
			break
		}
	}
	if total > 0 && touched == 0 {
		return total, errors.New("read baseline: the rows are empty")
	}
	return total, nil
}

// Close drops the scratch schema.
func (b *Baseline) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.drop(context.Background())
	b.pool.Close()
	return err
}
