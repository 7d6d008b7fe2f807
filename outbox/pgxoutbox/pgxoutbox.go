// Package pgxoutbox lets who uses pgx write to the transactional outbox in a pgx.Tx, and run its relay over a pool of pgx.
//
// It is all that knows pgx of the outbox; package outbox works with database/sql.
package pgxoutbox

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"lexigram.dev/events/outbox"
)

// Tx makes a transaction of pgx one that outbox.Table.Write takes.
func Tx(tx pgx.Tx) outbox.Tx { return transaction{tx} }

// DB gives the pool to outbox.Table.Migrate and outbox.NewTableRelay. Closing it leaves the pool open; close it first.
func DB(pool *pgxpool.Pool) *sql.DB { return stdlib.OpenDBFromPool(pool) }

type transaction struct{ tx pgx.Tx }

// ExecContext implements outbox.Tx.
func (t transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	return result{tag}, err
}

type result struct{ tag pgconn.CommandTag }

// LastInsertId implements sql.Result. PostgreSQL has none.
func (result) LastInsertId() (int64, error) { return 0, errors.ErrUnsupported }

// RowsAffected implements sql.Result.
func (r result) RowsAffected() (int64, error) { return r.tag.RowsAffected(), nil }
