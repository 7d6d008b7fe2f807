package main

import (
	"errors"
	"path/filepath"
	"sync"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/event"
)

// ledger is the world outside: what the suppliers have done, in a database of its own that all workers share. A process
// that is killed leaves all in it that was done before.
type ledger struct {
	mu      sync.Mutex // guards conn
	conn    *sqlite.Conn
	changes chan *change
	ended   chan struct{} // closed when no change is made any more
}

// change is something that is done in a transaction with others, which came at the same time.
type change struct {
	do   func() error
	done chan error
}

// An effect is what was done under a key, however often it was asked for (calls). One that takes another back names its
// key (undoes) and whether there was something to take back (found). A request that comes after it was taken back is
// refused, which is no effect.
const ledgerTables = `
create table if not exists effects (
	key      text primary key,
	instance text not null,
	step     text not null,
	undoes   text not null default '',
	found    integer not null default 0,
	calls    integer not null default 1
) without rowid;
create index if not exists effects_undone on effects (undoes) where undoes <> '';
create table if not exists refused (key text primary key, calls integer not null default 1) without rowid;
create table if not exists repaired (instance text primary key) without rowid;`

const (
	isUndone    = `select 1 from effects where undoes = ?`
	hasEffect   = `select 1 from effects where key = ?`
	isRepaired  = `select 1 from repaired where instance = ?`
	countEffect = `insert into effects (key, instance, step, undoes, found) values (?, ?, ?, ?, ?) on conflict (key) do update set calls = calls + 1`
	countRefuse = `insert into refused (key) values (?) on conflict (key) do update set calls = calls + 1`
	noteRepair  = `insert into repaired (instance) values (?) on conflict do nothing`
	allEffects  = `select key, instance, step, undoes, found, calls from effects`
	allRefusals = `select count(*), coalesce(sum(calls), 0) from refused`
)

func openLedger(folder string) (*ledger, error) {
	conn, err := sqlite.OpenConn(filepath.Join(folder, "ledger.db"), sqlite.OpenReadWrite, sqlite.OpenCreate, sqlite.OpenWAL)
	if err != nil {
		return nil, err
	}
	conn.SetBlockOnBusy()
	// It outlives its processes, not the machine.
	err = errors.Join(sqlitex.ExecuteTransient(conn, "pragma synchronous = off", nil), sqlitex.ExecuteScript(conn, ledgerTables, nil))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l := &ledger{conn: conn, changes: make(chan *change), ended: make(chan struct{})}
	go l.serve()
	return l, nil
}

// close must not be called while something is changed.
func (l *ledger) close() error {
	close(l.changes)
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn.Close()
}

var errTakenBack = errors.New("this was taken back already")

// do books an effect, unless it was taken back before.
func (l *ledger) do(key event.ID, instance, step string) error {
	refused := false
	err := l.change(func() error {
		undone, err := l.has(isUndone, key.String())
		if err != nil {
			return err
		}
		if undone {
			refused = true
			return sqlitex.Execute(l.conn, countRefuse, &sqlitex.ExecOptions{Args: []any{key.String()}})
		}
		return sqlitex.Execute(l.conn, countEffect, &sqlitex.ExecOptions{Args: []any{key.String(), instance, step, "", false}})
	})
	if err == nil && refused {
		return errTakenBack
	}
	return err
}

// undo takes back what was done under the key done, if it was.
func (l *ledger) undo(key, done event.ID, instance, step string) error {
	return l.change(func() error {
		found, err := l.has(hasEffect, done.String())
		if err != nil {
			return err
		}
		return sqlitex.Execute(l.conn, countEffect, &sqlitex.ExecOptions{Args: []any{key.String(), instance, step, done.String(), found}})
	})
}

// repair lets the supplier who never takes anything back do it for an instance.
func (l *ledger) repair(instance string) error {
	return l.change(func() error {
		return sqlitex.Execute(l.conn, noteRepair, &sqlitex.ExecOptions{Args: []any{instance}})
	})
}

func (l *ledger) repaired(instance string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.has(isRepaired, instance)
}

// change does something in a transaction, and returns when that is committed.
func (l *ledger) change(do func() error) error {
	c := &change{do: do, done: make(chan error, 1)}
	l.changes <- c
	return <-c.done
}

// serve makes the changes: those that wait at the same time in one transaction, as the workers contend for the file.
func (l *ledger) serve() {
	defer close(l.ended)
	for first := range l.changes {
		together := []*change{first}
		for more := true; more; {
			select {
			case c, ok := <-l.changes:
				if more = ok; ok {
					together = append(together, c)
				}
			default:
				more = false
			}
		}
		err := l.commit(together)
		for _, c := range together {
			c.done <- err
		}
	}
}

func (l *ledger) commit(together []*change) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, err := sqlitex.ImmediateTransaction(l.conn)
	if err != nil {
		return err
	}
	defer end(&err)
	for _, c := range together {
		if err := c.do(); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) has(query string, args ...any) (found bool, err error) {
	err = sqlitex.Execute(l.conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(*sqlite.Stmt) error {
		found = true
		return nil
	}})
	return found, err
}

// effect is a row of the ledger.
type effect struct {
	instance, step, undoes string
	found                  bool
	calls                  int
}

// effects gives all of them by key, and how many requests were refused, in how many calls.
func (l *ledger) effects() (byKey map[string]*effect, refused, calls int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	byKey = map[string]*effect{}
	err = sqlitex.Execute(l.conn, allEffects, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		byKey[row.ColumnText(0)] = &effect{
			instance: row.ColumnText(1), step: row.ColumnText(2), undoes: row.ColumnText(3), found: row.ColumnBool(4), calls: row.ColumnInt(5),
		}
		return nil
	}})
	if err == nil {
		err = sqlitex.Execute(l.conn, allRefusals, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			refused, calls = row.ColumnInt(0), row.ColumnInt(1)
			return nil
		}})
	}
	return byKey, refused, calls, err
}
