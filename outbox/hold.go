package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// hold is a claim with what secures it: on PostgreSQL the open transaction with the locks, on SQLite the lease.
type hold struct {
	claim
	tx *sql.Tx // PostgreSQL
}

// errStandby: another relay has the lease.
var errStandby = errors.New("another relay publishes")

// errLeaseLost: the lease was over before the outcome could be written, and another relay has it.
var errLeaseLost = errors.New("another relay has taken over meanwhile: what was published is published again")

// settlement says what is to be written of a claim.
type settlement struct {
	sent, remove []int64
	failed       []failure
}

type failure struct {
	id     int64
	nextAt time.Time
	cause  error
}

// take claims rows. The transaction must not end with the caller's context while it is held: what the broker has
// confirmed is marked also when the relay stops.
func (r *run) take(ctx context.Context) (hold, error) {
	now := r.o.Now()
	tx, err := r.begin(ctx)
	if err != nil {
		return hold{}, err
	}
	if r.table.Dialect == PostgreSQL {
		c, err := r.table.pick(ctx, tx, r.o.BatchSize, now)
		if err != nil || len(c.rows) == 0 {
			_ = tx.Rollback() // nothing was changed
			return hold{claim: c}, err
		}
		return hold{claim: c, tx: tx}, nil
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	until := now.Add(r.lease())
	result, err := tx.ExecContext(ctx, r.table.in(sqlTakeLease), r.owner, until.UnixMicro(), now.UnixMicro())
	if err != nil {
		return hold{}, err
	}
	switch n, err := result.RowsAffected(); {
	case err != nil:
		return hold{}, err
	case n == 0:
		return hold{}, errStandby
	}
	c, err := r.table.pick(ctx, tx, r.o.BatchSize, now)
	if err != nil {
		return hold{}, err
	}
	return hold{claim: c}, tx.Commit()
}

// begin begins a transaction in which each statement sees what was committed before it, which the locks rely on.
func (r *run) begin(ctx context.Context) (*sql.Tx, error) {
	if r.table.Dialect == SQLite { // the first statement writes, and from then on nobody else does
		return r.db.BeginTx(ctx, nil)
	}
	return r.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
}

// lease is how long the relay on SQLite may be silent.
func (r *run) lease() time.Duration { return 2*r.o.PublishTimeout + r.o.PollInterval }

// settle writes the outcome, and gives the rows free.
func (r *run) settle(ctx context.Context, h hold, s settlement) error {
	tx := h.tx
	if tx == nil {
		var err error
		if tx, err = r.begin(ctx); err != nil {
			return err
		}
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	now := r.o.Now()
	if h.tx == nil {
		result, err := tx.ExecContext(ctx, r.table.in(sqlKeepLease), now.Add(r.lease()).UnixMicro(), r.owner)
		if err != nil {
			return err
		}
		switch n, err := result.RowsAffected(); {
		case err != nil:
			return err
		case n == 0:
			return errLeaseLost
		}
	}
	if len(s.sent) > 0 {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(r.table.in(sqlSent), now.UnixMicro(), list(s.sent))); err != nil {
			return err
		}
	}
	if len(s.remove) > 0 {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(r.table.in(sqlRemove), list(s.remove))); err != nil {
			return err
		}
	}
	for _, f := range s.failed {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(r.table.in(sqlFailed), f.nextAt.UnixMicro(), f.id), printable(f.cause)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// drop gives the rows free as they are.
func (h hold) drop() {
	if h.tx != nil {
		_ = h.tx.Rollback() // at the latest the end of the connection does it
	}
}

// printable is an error's text as every database keeps it.
func printable(err error) string {
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", " "), "\ufffd")
	if len(text) > 1000 {
		text = strings.ToValidUTF8(text[:1000], "") + "…"
	}
	return text
}
