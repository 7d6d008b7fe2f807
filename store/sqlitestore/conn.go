package sqlitestore

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// maxComposed is how many composed statements a connection keeps prepared.
const maxComposed = 64

// conn is a connection and its prepared statements. One goroutine uses it at a time.
type conn struct {
	*sqlite.Conn
	composed []*sqlite.Stmt
}

// openConn opens a connection that never waits for locks by itself: waiting is whileBusy's, which knows contexts.
func openConn(path string, flags sqlite.OpenFlags, pragmas ...string) (*conn, error) {
	raw, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	raw.SetBusyTimeout(0)
	c := &conn{Conn: raw}
	for _, pragma := range pragmas {
		if err := sqlitex.ExecuteTransient(raw, "pragma "+pragma, nil); err != nil {
			_ = raw.Close() // the pragma's error says more
			return nil, fmt.Errorf("pragma %s: %w", pragma, err)
		}
	}
	return c, nil
}

// compose prepares a statement that was put together for one filter. It is kept for the next of the same shape, up to
// maxComposed shapes; then all of them are dropped.
func (c *conn) compose(sql string) (*sqlite.Stmt, error) {
	stmt, err := c.Prepare(sql)
	if err != nil {
		return nil, err
	}
	for _, known := range c.composed {
		if known == stmt {
			return stmt, nil
		}
	}
	if len(c.composed) == maxComposed {
		for _, old := range c.composed {
			_ = old.Finalize() // repeats the error of the statement's last step, which was reported then
		}
		c.composed = c.composed[:0]
	}
	c.composed = append(c.composed, stmt)
	return stmt, nil
}

// number gives the first column of the first row; 0 where there is no row, or null.
func (c *conn) number(sql string) (int64, error) {
	stmt, err := c.Prepare(sql)
	if err != nil {
		return 0, err
	}
	return number(stmt)
}

func number(stmt *sqlite.Stmt) (int64, error) {
	row, err := stmt.Step()
	if err != nil || !row {
		return 0, err
	}
	n := stmt.ColumnInt64(0)
	return n, stmt.Reset()
}

// run executes a statement that gives no rows, and makes it ready for the next time.
func run(stmt *sqlite.Stmt) error {
	if _, err := stmt.Step(); err != nil {
		return err
	}
	return stmt.Reset()
}

// whileBusy tries op again, a little later each time, as long as another connection is in the way. It gives up with the
// last error when patience is over, and with the context's when that ends.
func whileBusy(ctx context.Context, patience time.Duration, op func() error) error {
	err := op()
	if !busy(err) {
		return err
	}
	const longest = 2 * time.Millisecond
	delay := 50 * time.Microsecond
	deadline := time.Now().Add(patience)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if err = op(); !busy(err) || !time.Now().Before(deadline) {
			return err
		}
		delay = min(2*delay, longest)
		timer.Reset(delay)
	}
}
