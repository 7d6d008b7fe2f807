package projection_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store/sqlitestore"
)

// sales are the user's own table, on SQLite: a row for each order, in a table for each generation.
func TestAUsersOwnTableCountsOnceAndIsRebuilt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	b, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{AutoMigrate: true})
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	s := newShop(t, b)
	execute := func(ctx context.Context, sql string, bind ...int64) (rows []int64, err error) {
		conn, ok := sqlitestore.Tx(ctx)
		if !ok {
			return nil, errors.New("no transaction")
		}
		stmt, _, err := conn.PrepareTransient(sql)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stmt.Finalize()) }()
		for i, v := range bind {
			stmt.BindInt64(i+1, v)
		}
		for {
			row, err := stmt.Step()
			if err != nil || !row {
				return rows, err
			}
			rows = append(rows, stmt.ColumnInt64(0))
		}
	}
	ownTable(t, s, execute, "?1")
}

func TestAUsersOwnPostgresTableCountsOnceAndIsRebuilt(t *testing.T) {
	onPostgres(t, func(t *testing.T, s *shop, execute executor) { ownTable(t, s, execute, "$1") })
}

// executor runs SQL in the transaction of a context, and gives the first column.
type executor func(ctx context.Context, sql string, bind ...int64) ([]int64, error)

func ownTable(t *testing.T, s *shop, execute executor, parameter string) {
	s.fill(t, 20, 2)
	var switches []string
	fail := make(chan struct{}, 1)
	o := quick(t)
	o.Transaction, o.BatchEvents, o.KeepPrevious = true, 8, -1
	exec := func(ctx context.Context, sql string, bind ...int64) error {
		_, err := execute(ctx, sql, bind...)
		return err
	}
	o.Create = func(ctx context.Context, g projection.Generation) error {
		return exec(ctx, fmt.Sprintf("create table if not exists sales_%d (cents bigint)", g.Number))
	}
	o.Drop = func(ctx context.Context, g projection.Generation) error {
		return exec(ctx, fmt.Sprintf("drop table if exists sales_%d", g.Number))
	}
	o.OnSwitch = func(ctx context.Context, from, to projection.Generation) error {
		switches = append(switches, fmt.Sprintf("%d to %d", from.Number, to.Number))
		if err := exec(ctx, "drop view if exists sales"); err != nil {
			return err
		}
		return exec(ctx, fmt.Sprintf("create view sales as select * from sales_%d", to.Number))
	}
	p := projection.New(s.Store, s.registry, "sales", o)
	projection.On(p, func(ctx context.Context, e Added, r event.Recorded) error {
		g, ok := projection.GenerationFrom(ctx)
		if !ok {
			return errors.New("no generation")
		}
		if err := exec(ctx, fmt.Sprintf("insert into sales_%d (cents) values (%s)", g.Number, parameter), int64(e.Cents)); err != nil {
			return err
		}
		if r.Position == 13 {
			select {
			case fail <- struct{}{}:
				return errors.New("once") // what the batch has inserted is undone
			default:
			}
		}
		return nil
	})
	sum := func(table string) (rows []int64) {
		must(t, s.Transact(t.Context(), func(ctx context.Context) (err error) {
			rows, err = execute(ctx, "select count(*) from "+table)
			return err
		}))
		return rows
	}
	start(t, p)
	must(t, p.WaitFor(t.Context(), 20))
	if got := sum("sales_1"); len(got) != 1 || got[0] != 20 {
		t.Errorf("the table has %v rows, want 20", got)
	}
	number, err := s.control.Rebuild(t.Context(), "sales", projection.RebuildOptions{})
	must(t, err)
	must(t, s.control.Follow(t.Context(), "sales", number, nil))
	must(t, p.WaitFor(t.Context(), s.fill(t, 5, 2)))
	if got := sum("sales"); len(got) != 1 || got[0] != 25 {
		t.Errorf("the view has %v rows, want 25", got)
	}
	if g, err := p.Live(t.Context()); err != nil || g.Number != number {
		t.Errorf("live is %+v, %v", g, err)
	}
	eventually(t, "the removal", func() bool {
		return s.Transact(t.Context(), func(ctx context.Context) error {
			_, err := execute(ctx, "select count(*) from sales_1")
			return err
		}) != nil
	})
	if fmt.Sprint(switches) != "[1 to 2]" {
		t.Errorf("OnSwitch was called %v", switches)
	}
}
