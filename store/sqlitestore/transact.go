package sqlitestore

import (
	"context"
	"sync"

	"zombiezen.com/go/sqlite"
)

type transactionKey struct{}

// transaction is a running Transact.
type transaction struct {
	backend *Backend
	outer   *transaction // of the context that Transact was called with: a transaction of another backend

	mu     sync.Mutex // one call at a time uses the connection
	writer *writer    // nil after the end
	failed error      // an error that made the transaction worthless
}

// Tx gives the connection of the transaction that ctx carries, for the caller's own SQL; see [Backend.Transact]. The
// connection is good until the function that Transact called returns. It must not be used from several goroutines, nor
// together with calls of the backend in another one, and it must not begin, commit or roll back.
func Tx(ctx context.Context) (*sqlite.Conn, bool) {
	t, ok := ctx.Value(transactionKey{}).(*transaction)
	if !ok {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writer == nil {
		return nil, false
	}
	return t.writer.Conn, true
}

// Transact implements store.Transactor. Everything that writes in this process waits until fn has returned, from the
// first moment on: so fn must make all its calls with the context that it is given, and be short.
func (b *Backend) Transact(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if b.transaction(ctx) != nil {
		return fn(ctx)
	}
	w, err := b.writer(ctx)
	if err != nil {
		return err
	}
	defer b.put(w)
	if err := whileBusy(ctx, b.options.BusyTimeout, w.beginTransaction); err != nil {
		return translate(ctx, err)
	}
	t := &transaction{backend: b, writer: w}
	t.outer, _ = ctx.Value(transactionKey{}).(*transaction)
	done := false
	defer func() {
		if !done { // fn panicked
			t.end()
			w.rollbackTransaction()
		}
	}()
	w.SetInterrupt(ctx.Done())
	err = fn(context.WithValue(ctx, transactionKey{}, t))
	t.end()
	done = true
	if err == nil {
		err = t.failed
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		w.rollbackTransaction()
		return err
	}
	return w.commitOthers(ctx)
}

// commitOthers commits a transaction in which SQL ran that is not the package's own.
func (w *writer) commitOthers(ctx context.Context) error {
	if w.AutocommitEnabled() {
		w.rollbackTransaction()
		return errEndedInside
	}
	if err := w.commitTransaction(); err != nil {
		return translate(ctx, err)
	}
	clear(w.streams)
	w.seen = unknown // the SQL may have touched the tables, which the data version does not tell
	return nil
}

// transaction gives the running transaction of this backend that ctx carries; nil where there is none.
func (b *Backend) transaction(ctx context.Context) *transaction {
	t, _ := ctx.Value(transactionKey{}).(*transaction)
	for t != nil && t.backend != b {
		t = t.outer
	}
	return t
}

// enter gives the writer for one call. The caller calls leave when it is done.
func (t *transaction) enter() (*writer, error) {
	t.mu.Lock()
	if t.writer == nil {
		t.mu.Unlock()
		return nil, errTransactionEnded
	}
	return t.writer, nil
}

func (t *transaction) leave() { t.mu.Unlock() }

// outcome translates the error of a call that wrote. One that is no refusal leaves the transaction in a state that
// nobody knows, so it will not be committed. The caller holds the transaction.
func (t *transaction) outcome(ctx context.Context, err error) error {
	if err == nil || refusal(err) {
		return err
	}
	err = translate(ctx, err)
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// end takes the connection away from those who still have the context.
func (t *transaction) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writer.SetInterrupt(nil)
	t.writer = nil
}
