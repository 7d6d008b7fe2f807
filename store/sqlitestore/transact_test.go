package sqlitestore

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/store"
)

func TestTx(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	b := openTest(t, path, Options{})
	execute(t, path, `create table orders (id text);`)
	count := func() (n int) {
		c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		err = sqlitex.ExecuteTransient(c, `select count(*) from orders`, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			n = stmt.ColumnInt(0)
			return nil
		}})
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		return n
	}
	order := func(ctx context.Context) error {
		conn, ok := Tx(ctx)
		if !ok {
			return errors.New("no transaction")
		}
		if err := sqlitex.ExecuteTransient(conn, `insert into orders values ('7')`, nil); err != nil {
			return err
		}
		_, err := b.Append(ctx, commitOf("order-7"))
		return err
	}
	if _, ok := Tx(t.Context()); ok {
		t.Error("a context without a transaction gives one")
	}

	t.Run("commits the caller's SQL with the append", func(t *testing.T) {
		if err := b.Transact(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 1 || checkLog(t, b)["order-7"] != 1 {
			t.Errorf("%d orders, log %v", n, checkLog(t, b))
		}
	})
	t.Run("rolls both back", func(t *testing.T) {
		refused := errors.New("refused")
		if err := b.Transact(t.Context(), func(ctx context.Context) error { return errors.Join(order(ctx), refused) }); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		if n := count(); n != 1 || checkLog(t, b)["order-7"] != 1 {
			t.Errorf("%d orders, log %v", n, checkLog(t, b))
		}
	})
	t.Run("rolls back when the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := b.Transact(ctx, func(ctx context.Context) error {
			defer cancel()
			return order(ctx)
		})
		if !errors.Is(err, context.Canceled) || count() != 1 || checkLog(t, b)["order-7"] != 1 {
			t.Errorf("got %v, %d orders, log %v", err, count(), checkLog(t, b))
		}
	})
	t.Run("goes on after a conflict that the function accepts", func(t *testing.T) {
		err := b.Transact(t.Context(), func(ctx context.Context) error {
			c := commitOf("order-7")
			c.Appends[0].Expected = store.NoStream()
			if _, err := b.Append(ctx, c); !errors.Is(err, store.ErrConflict) {
				t.Errorf("got %v, want a conflict", err)
			}
			return order(ctx)
		})
		if err != nil || count() != 2 || checkLog(t, b)["order-7"] != 2 {
			t.Errorf("got %v, %d orders, log %v", err, count(), checkLog(t, b))
		}
	})
	t.Run("makes other appends wait", func(t *testing.T) {
		other := make(chan error, 1)
		err := b.Transact(t.Context(), func(ctx context.Context) error {
			go func() {
				_, err := b.Append(t.Context(), commitOf("other-1"))
				other <- err
			}()
			return order(ctx)
		})
		if err := errors.Join(err, <-other); err != nil {
			t.Fatal(err)
		}
		checkLog(t, b)
	})
	t.Run("is over when the function has returned", func(t *testing.T) {
		var kept context.Context
		if err := b.Transact(t.Context(), func(ctx context.Context) error { kept = ctx; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, ok := Tx(kept); ok {
			t.Error("the connection is given out after the end")
		}
		if _, err := b.Append(kept, commitOf("a-1")); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v", err)
		}
		if _, err := b.Head(kept); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses a function that commits by itself", func(t *testing.T) {
		err := b.Transact(t.Context(), func(ctx context.Context) error {
			conn, _ := Tx(ctx)
			return sqlitex.ExecuteTransient(conn, `commit`, nil)
		})
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v", err)
		}
		appendOne(t, b, "after-1")
	})
	t.Run("keeps transactions of two stores apart", func(t *testing.T) {
		second := openTest(t, filepath.Join(t.TempDir(), "second.db"), Options{})
		err := b.Transact(t.Context(), func(ctx context.Context) error {
			return second.Transact(ctx, func(ctx context.Context) error {
				if _, err := second.Append(ctx, commitOf("s-1")); err != nil {
					return err
				}
				_, err := b.Append(ctx, commitOf("b-1"))
				return err
			})
		})
		if err != nil || checkLog(t, second)["s-1"] != 1 || checkLog(t, b)["b-1"] != 1 {
			t.Errorf("got %v", err)
		}
	})
}
