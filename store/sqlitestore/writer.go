package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// unknown is no data version.
const unknown = -1

// maxKnownStreams bounds the memory of streams' versions.
const maxKnownStreams = 1 << 16

// writer is the one connection of a backend that writes. Whoever took it out of Backend.turn owns it.
type writer struct {
	*conn
	backend *Backend

	begin, commit, rollback                   *sqlite.Stmt
	dataVersion, tail, insertEvent, insertTag *sqlite.Stmt
	boundType, boundContentType               string // what insertEvent has for these; most events have the same

	// What is known of the log. It is true inside a transaction; between transactions another process may write, which
	// the data version tells at the next begin.
	seen     int64 // the data version that all below belongs to; unknown: nothing is known
	head     event.Position
	streams  map[event.StreamID]tail
	revision store.Revision

	committed      event.Position // head when the transaction began
	revisionStored store.Revision // revision when the transaction began
	swept          time.Time      // when expired records were last looked for
	written        int64          // pages, by estimate, since the turn was taken
	sinceReclaim   int            // commits; see reclaimCache
}

// tail is the end of a stream.
type tail struct {
	version event.Version // 0: the stream never was
	deleted bool
}

func openWriter(ctx context.Context, b *Backend) (*writer, error) {
	w := &writer{backend: b, seen: unknown, streams: map[event.StreamID]tail{}}
	err := whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		// Checkpoints are the checkpointer's: one by the writer would make an append wait for it.
		w.conn, err = openConn(b.path, b.openFlags(), `journal_mode = wal`, `synchronous = `+b.options.Synchronous.String(),
			`wal_autocheckpoint = 0`, `temp_store = memory`, sqlCacheSize(writerCache))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		stmt **sqlite.Stmt
		sql  string
	}{
		{&w.begin, sqlBegin},
		{&w.commit, sqlCommit},
		{&w.rollback, sqlRollback},
		{&w.dataVersion, sqlDataVersion},
		{&w.tail, sqlTail},
		{&w.insertEvent, sqlInsertEvent},
		{&w.insertTag, sqlInsertTag},
	} {
		err := whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
			*s.stmt, err = w.Prepare(s.sql)
			return err
		})
		if err != nil {
			_ = w.Close() // the first error says more
			return nil, err
		}
	}
	return w, nil
}

// writer waits for the turn to write. The caller gives it back with put.
func (b *Backend) writer(ctx context.Context) (*writer, error) {
	if err := b.writable(ctx); err != nil {
		return nil, err
	}
	select {
	case w := <-b.turn:
		return w, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.closing:
		return nil, store.ErrClosed
	}
}

// put gives the turn back and tells who waits for new events.
func (b *Backend) put(w *writer) {
	grown, head := w.grown(), w.head
	w.committed = w.head
	b.unmerged.Add(w.written)
	w.written = 0
	b.turn <- w
	if grown {
		b.wakers.wake(head)
	}
	select {
	case b.backlog <- struct{}{}:
	default: // the checkpointer has not looked since the last commit
	}
}

func (b *Backend) writable(ctx context.Context) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if b.options.ReadOnly {
		return fmt.Errorf("%w: the store was opened for reading only", store.ErrReadOnly)
	}
	return nil
}

const (
	// heldFor bounds the time for which a batch waits for the turn or for the file's lock. Then it goes back into the
	// queue for withdrawAfter, in which callers whose contexts have ended take their requests out.
	heldFor       = 10 * time.Millisecond
	withdrawAfter = 500 * time.Microsecond
)

// usualRequests is up to how many requests a batch is worth waiting for.
const usualRequests = 64

// commitBatches writes batch after batch until the queue is closed and empty. It is the writer goroutine.
func (b *Backend) commitBatches() {
	timer := time.NewTimer(heldFor)
	defer timer.Stop()
	var locked time.Time // since when the file has been locked by another process; zero: it is not
	for {
		batch, ok := b.queue.Next()
		if !ok {
			return
		}
		answered := false
		timer.Reset(heldFor)
		select {
		case w := <-b.turn:
			locked = w.commitBatch(batch, locked)
			answered = locked.IsZero()
			b.put(w)
		case <-timer.C: // somebody's transaction is running; appends wait for it as long as their callers do
		}
		b.queue.Finish(batch)
		if !answered {
			timer.Reset(withdrawAfter)
			<-timer.C
		}
	}
}

// commitBatch answers the requests of a batch in one transaction. If the file is locked by another process it leaves
// them unanswered, until that has lasted for the busy timeout. It returns since when the file has been locked.
func (w *writer) commitBatch(batch *groupcommit.Batch, locked time.Time) time.Time {
	err := w.reclaimCache()
	if err == nil {
		err = whileBusy(context.Background(), heldFor, w.beginTransaction)
	}
	if busy(err) {
		switch now := time.Now(); {
		case locked.IsZero():
			return now
		case now.Sub(locked) < w.backend.options.BusyTimeout:
			return locked
		}
	}
	if err == nil {
		err = w.appendAll(batch)
	}
	if err != nil {
		err = translate(context.Background(), err)
		for _, r := range batch.Requests {
			r.Fail(err)
		}
	}
	return time.Time{}
}

// appendAll appends each request of the batch, and those that come meanwhile, those that are refused aside, and commits.
func (w *writer) appendAll(batch *groupcommit.Batch) error {
	for requests := batch.Requests; len(requests) > 0; requests = w.backend.queue.Extend(batch, usualRequests) {
		for _, r := range requests {
			res, err := w.append(&r.Commit)
			switch {
			case err == nil:
				r.Resolve(res)
			case refusal(err):
				r.Fail(err)
			default:
				w.rollbackTransaction()
				return err
			}
		}
	}
	return w.commitWith(w.backend.applies.take())
}

// refusal reports whether an append was refused for its own sake, and the transaction can go on without it.
func refusal(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrIDReused) || errors.Is(err, store.ErrStreamDeleted)
}
