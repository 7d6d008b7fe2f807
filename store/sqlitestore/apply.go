package sqlitestore

import (
	"context"
	"slices"
	"sync"
	"time"

	"lexigram.dev/events/store"
)

const (
	maxRiders  = 64          // batches of operations in one transaction
	sweepEvery = time.Second // how often expired records are looked for, while records are written
)

// applyRequest is one Apply that waits for a transaction.
type applyRequest struct {
	ops       []store.Op
	revisions []store.Revision
	err       error
	done      chan struct{} // closed when revisions or err are there
}

// applyQueue holds the requests that no transaction has taken yet. Whoever has the turn to write takes them along, be
// it for appends or for one of these requests, so that they share its flush to the disk.
type applyQueue struct {
	mu      sync.Mutex
	waiting []*applyRequest
}

func (q *applyQueue) add(r *applyRequest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, r)
}

// withdraw reports false where a transaction has taken the request already: its answer will come.
func (q *applyQueue) withdraw(r *applyRequest) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, r)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

func (q *applyQueue) take() []*applyRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxRiders)
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return taken
}

// Apply implements store.KV.
func (b *Backend) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if err := b.writable(ctx); err != nil {
		return nil, err
	}
	if t := b.transaction(ctx); t != nil {
		w, err := t.enter()
		if err != nil {
			return nil, err
		}
		defer t.leave()
		revisions, err := w.apply(ops)
		return revisions, t.outcome(ctx, err)
	}
	r := &applyRequest{ops: ops, done: make(chan struct{})}
	b.applies.add(r)
	var left error
	select {
	case <-r.done:
	case w := <-b.turn:
		left = w.commitApplies(ctx, r)
		b.put(w)
	case <-ctx.Done():
		left = ctx.Err()
	case <-b.closing:
		left = store.ErrClosed
	}
	if left != nil && b.applies.withdraw(r) {
		return nil, left
	}
	<-r.done
	return r.revisions, r.err
}

// commitApplies answers the waiting requests in a transaction, unless another one has answered r meanwhile. An error
// means that none was begun.
func (w *writer) commitApplies(ctx context.Context, r *applyRequest) error {
	for {
		select {
		case <-r.done:
			return nil
		default:
		}
		if err := whileBusy(ctx, w.backend.options.BusyTimeout, w.beginTransaction); err != nil {
			return translate(ctx, err)
		}
		_ = w.commitWith(w.backend.applies.take()) // the requests get the error
	}
}

// commitWith applies the requests in the open transaction, commits it, and answers them.
func (w *writer) commitWith(requests []*applyRequest) error {
	var err error
	for _, r := range requests {
		r.revisions, r.err = w.apply(r.ops)
		if r.err != nil && !refusal(r.err) {
			err = r.err
			break
		}
	}
	if err == nil && len(requests) > 0 {
		err = w.sweep()
	}
	if err == nil {
		err = w.commitTransaction()
	} else {
		w.rollbackTransaction()
	}
	for _, r := range requests {
		if err != nil {
			r.revisions, r.err = nil, translate(context.Background(), err)
		}
		close(r.done)
	}
	return err
}

// apply does all operations or none, in the open transaction.
func (w *writer) apply(ops []store.Op) (revisions []store.Revision, err error) {
	if len(ops) > 1 { // a single one that is refused has changed nothing
		if err := w.exec(sqlSavepoint); err != nil {
			return nil, err
		}
		defer func() {
			if refusal(err) {
				if undo := w.exec(sqlRollbackRequest); undo != nil {
					err = undo
				}
			}
			if end := w.exec(sqlRelease); err == nil {
				err = end
			}
		}()
	}
	now := w.backend.options.Now()
	revisions = make([]store.Revision, len(ops))
	for i := range ops {
		if revisions[i], err = w.applyOne(&ops[i], now); err != nil {
			return nil, err
		}
	}
	return revisions, nil
}

func (w *writer) applyOne(op *store.Op, now time.Time) (store.Revision, error) {
	if _, expects := op.If.Revision(); expects || op.Kind == store.OpCheck {
		current, err := w.revisionOf(op.Bucket, op.Key, now)
		if err != nil {
			return 0, err
		}
		if !op.If.Allows(current) {
			expected, _ := op.If.Revision()
			return 0, &store.RevisionError{Bucket: op.Bucket, Key: op.Key, Expected: expected, Actual: current}
		}
		if op.Kind == store.OpCheck {
			return current, nil
		}
	}
	if op.Kind == store.OpDelete {
		stmt, err := w.Prepare(sqlDeleteRecord)
		if err != nil {
			return 0, err
		}
		stmt.BindText(1, op.Bucket)
		stmt.BindText(2, op.Key)
		return 0, run(stmt)
	}
	stmt, err := w.Prepare(sqlPutRecord)
	if err != nil {
		return 0, err
	}
	w.revision++
	stmt.BindText(1, op.Bucket)
	stmt.BindText(2, op.Key)
	stmt.BindInt64(3, int64(w.revision))
	if op.TTL > 0 {
		stmt.BindInt64(4, now.Add(op.TTL).UnixMicro())
	} else {
		stmt.BindNull(4)
	}
	stmt.BindBytes(5, op.Value)
	return w.revision, run(stmt)
}

// revisionOf gives the revision of a record; 0 where there is none, or an expired one.
func (w *writer) revisionOf(bucket, key string, now time.Time) (store.Revision, error) {
	stmt, err := w.Prepare(sqlRevisionOf)
	if err != nil {
		return 0, err
	}
	stmt.BindText(1, bucket)
	stmt.BindText(2, key)
	row, err := stmt.Step()
	if err != nil || !row {
		return 0, err
	}
	revision := store.Revision(stmt.ColumnInt64(0))
	if expired(expiry(stmt, 1), now) {
		revision = 0
	}
	return revision, stmt.Reset()
}

// sweep removes some of the expired records, now and then.
func (w *writer) sweep() error {
	now := w.backend.options.Now()
	if now.Sub(w.swept) < sweepEvery {
		return nil
	}
	w.swept = now
	stmt, err := w.Prepare(sqlSweep)
	if err != nil {
		return err
	}
	stmt.BindInt64(1, now.UnixMicro())
	return run(stmt)
}

// exec runs a statement without parameters and rows.
func (w *writer) exec(sql string) error {
	stmt, err := w.Prepare(sql)
	if err != nil {
		return err
	}
	return run(stmt)
}
