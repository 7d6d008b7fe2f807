package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// transaction is what Transact puts into the context.
type transaction struct {
	tx pgx.Tx

	mu       sync.Mutex // one call at a time: a connection runs one statement at a time
	ended    bool
	last     event.Position // of what it appended
	versions map[event.StreamID]event.Version
}

// joinedKey finds the transaction of one backend, currentKey that of the innermost Transact.
type (
	joinedKey  struct{ b *Backend }
	currentKey struct{}
)

// joined gives this backend's transaction in ctx; nil where there is none.
func (b *Backend) joined(ctx context.Context) *transaction {
	t, _ := ctx.Value(joinedKey{b}).(*transaction)
	return t
}

// Tx gives the transaction that Transact has put into ctx, for the user's own SQL. Do not commit it or roll it back.
func Tx(ctx context.Context) (pgx.Tx, bool) {
	t, ok := ctx.Value(currentKey{}).(*transaction)
	if !ok {
		return nil, false
	}
	return t.tx, true
}

// Transact implements store.Transactor. The transaction's level is READ COMMITTED.
func (b *Backend) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	if b.joined(ctx) != nil {
		return fn(ctx)
	}
	if err := b.usable(ctx); err != nil {
		return err
	}
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	if b.options.ReadOnly {
		options.AccessMode = pgx.ReadOnly
	}
	tx, err := b.pool.BeginTx(ctx, options)
	if err != nil {
		return b.explain(ctx, err)
	}
	t := &transaction{tx: tx, versions: map[event.StreamID]event.Version{}}
	finished := false
	defer func() {
		if !finished { // fn has panicked
			t.end()
			_ = tx.Rollback(context.WithoutCancel(ctx))
		}
	}()
	err = fn(context.WithValue(context.WithValue(ctx, joinedKey{b}, t), currentKey{}, t))
	finished = true
	t.end()
	if err != nil {
		// The connection must not go back with the transaction open, also when ctx has ended.
		if rollback := tx.Rollback(context.WithoutCancel(ctx)); rollback != nil && !errors.Is(rollback, pgx.ErrTxClosed) && !tx.Conn().IsClosed() {
			return errors.Join(err, b.explain(ctx, rollback))
		}
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		_ = tx.Rollback(context.WithoutCancel(ctx))
		return b.explain(ctx, fmt.Errorf("commit: %w", err))
	}
	for stream, version := range t.versions {
		b.writer.versions.set(stream, version)
	}
	if t.last > 0 {
		b.committed(t.last)
	}
	return nil
}

// use runs fn with the transaction's connection.
func (t *transaction) use(fn func(conn *pgx.Conn) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return pgx.ErrTxClosed
	}
	return fn(t.tx.Conn())
}

func (t *transaction) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}

// appended notes what to tell others after the commit.
func (t *transaction) appended(c store.Commit, r store.Result) {
	if r.Duplicate {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = r.Last
	for i := range c.Appends {
		t.versions[c.Appends[i].Stream] = r.Versions[i]
	}
}
