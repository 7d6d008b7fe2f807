package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/sqlitestore"
)

// table is a read model in the user's own SQL, one table for each generation.
type table struct {
	store    *store.Store
	postgres bool
	prefix   string // of this run: the tables are in no schema of the store's own
}

func newTable(s *store.Store, folder string) (*table, error) {
	prefix := filepath.Base(folder)
	switch s.Backend().(type) {
	case *pgstore.Backend:
		return &table{store: s, postgres: true, prefix: prefix}, nil
	case *sqlitestore.Backend:
		return &table{store: s, prefix: prefix}, nil
	default:
		return nil, fmt.Errorf("the table needs PostgreSQL or SQLite, not %T", s.Backend())
	}
}

func (t *table) name(g projection.Generation) string { return fmt.Sprintf("%s_%d", t.prefix, g.Number) }

func (t *table) create(ctx context.Context, g projection.Generation) error {
	return t.exec(ctx, `create table if not exists `+t.name(g)+` (stream text primary key, events bigint not null, sum bigint not null)`)
}

func (t *table) drop(ctx context.Context, g projection.Generation) error {
	return t.exec(ctx, `drop table if exists `+t.name(g))
}

// add counts an event, in the transaction that moves the checkpoint too.
func (t *table) add(ctx context.Context, n int64, e event.Recorded) error {
	g, ok := projection.GenerationFrom(ctx)
	if !ok {
		return errors.New("not in a handler")
	}
	return t.exec(ctx, `insert into `+t.name(g)+` as t (stream, events, sum) values ($1, 1, $2)
		on conflict (stream) do update set events = t.events + 1, sum = t.sum + excluded.sum`, string(e.Stream), n)
}

func (t *table) exec(ctx context.Context, sql string, args ...any) error {
	return t.query(ctx, sql, nil, args...)
}

// rows gives what the live generation's table holds.
func (t *table) rows(ctx context.Context, g projection.Generation) (map[string]total, error) {
	found := map[string]total{}
	err := t.store.Transact(ctx, func(ctx context.Context) error {
		return t.query(ctx, `select stream, events, sum from `+t.name(g), func(stream string, events, sum int64) {
			found[stream] = total{Events: events, Sum: sum}
		})
	})
	return found, err
}

// query runs a statement in the transaction of the context.
func (t *table) query(ctx context.Context, sql string, row func(stream string, events, sum int64), args ...any) error {
	if t.postgres {
		tx, ok := pgstore.Tx(ctx)
		if !ok {
			return errors.New("no transaction")
		}
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		var (
			stream      string
			events, sum int64
		)
		_, err = pgx.ForEachRow(rows, []any{&stream, &events, &sum}[:len(rows.FieldDescriptions())], func() error {
			row(stream, events, sum)
			return nil
		})
		return err
	}
	conn, ok := sqlitestore.Tx(ctx)
	if !ok {
		return errors.New("no transaction")
	}
	return sqlitex.Execute(conn, sql, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
		row(stmt.ColumnText(0), stmt.ColumnInt64(1), stmt.ColumnInt64(2))
		return nil
	}})
}
