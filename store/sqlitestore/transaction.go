package sqlitestore

import (
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// beginTransaction takes the file's write lock and makes sure that what the writer knows is true. It does not wait: an
// error of the kind busy means that nothing was begun.
func (w *writer) beginTransaction() error {
	if err := run(w.begin); err != nil {
		return err
	}
	version, err := number(w.dataVersion)
	if err == nil && version != w.seen {
		err = w.learn(version)
	}
	if err != nil {
		w.rollbackTransaction()
		return err
	}
	w.committed, w.revisionStored = w.head, w.revision
	return nil
}

// learn finds out what stands in the file, after another connection wrote to it.
func (w *writer) learn(version int64) error {
	schema, err := w.number(sqlUserVersion)
	if err != nil {
		return err
	}
	if int(schema) != len(migrations()) {
		return fmt.Errorf("%w: the tables were brought to version %d meanwhile, this program knows %d", store.ErrIncompatible, schema, len(migrations()))
	}
	head, err := w.number(sqlHead)
	if err != nil {
		return err
	}
	revision, err := w.number(sqlRevision)
	if err != nil {
		return err
	}
	clear(w.streams)
	w.head, w.revision, w.seen = event.Position(head), store.Revision(revision), version
	return nil
}

// commitTransaction makes everything durable. When it fails nothing was stored.
func (w *writer) commitTransaction() error {
	if w.revision != w.revisionStored {
		stmt, err := w.Prepare(sqlSetRevision)
		if err == nil {
			stmt.BindInt64(1, int64(w.revision))
			err = run(stmt)
		}
		if err != nil {
			w.rollbackTransaction()
			return err
		}
	}
	if hook := w.backend.beforeCommit.Load(); hook != nil && w.grown() {
		(*hook)()
	}
	if err := run(w.commit); err != nil {
		w.rollbackTransaction()
		return err
	}
	w.written += 4 + int64(w.head-w.committed)*5/4 // the streams' index takes a page for each event, all else follows on
	return nil
}

// rollbackTransaction undoes everything. What the writer knew may come from the transaction, so it is forgotten.
func (w *writer) rollbackTransaction() {
	w.forget()
	if w.AutocommitEnabled() { // a full disk or a failing one has SQLite roll back by itself
		return
	}
	_ = run(w.rollback) // fails only where there is no transaction
}

// forget makes the next transaction find out what stands in the file.
func (w *writer) forget() {
	w.seen, w.head, w.committed = unknown, 0, 0
	clear(w.streams)
}

// grown reports whether the last transaction appended.
func (w *writer) grown() bool { return w.head != w.committed }
