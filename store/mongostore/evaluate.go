package mongostore

import (
	"time"

	"lexigram.dev/events/store"
)

// evaluation works through the operations of a batch on the records as they were read.
type evaluation struct {
	records map[string]*recordDoc // by _id, as stored
	last    int64                 // the newest revision
	now     time.Time
	states  map[string]*state // of the records that the operations so far have changed
	order   []string          // in which they were first changed
}

// state is what the operations so far have made of a record.
type state struct {
	revision int64 // 0: absent
	by       int64 // the revision of the last operation, also of a deletion
	value    []byte
	expires  int64
}

// outcome is that of one application.
type outcome struct {
	revisions []store.Revision
	err       error
}

// evaluate does all operations or none. An operation sees what those before it did.
func (e *evaluation) evaluate(ops []store.Op) outcome {
	undo := make(map[string]*state)
	last := e.last
	revisions := make([]store.Revision, len(ops))
	for i := range ops {
		op := &ops[i]
		id := recordKey(op.Bucket, op.Key)
		current := e.revision(id)
		if !op.If.Allows(store.Revision(current)) {
			for id, old := range undo {
				e.restore(id, old)
			}
			e.last = last
			want, _ := op.If.Revision()
			return outcome{err: &store.RevisionError{Bucket: op.Bucket, Key: op.Key, Expected: want, Actual: store.Revision(current)}}
		}
		if op.Kind == store.OpCheck || op.Kind == store.OpDelete && current == 0 {
			revisions[i] = store.Revision(current)
			continue
		}
		if _, noted := undo[id]; !noted {
			undo[id] = e.states[id]
		}
		revisions[i] = e.change(id, op)
	}
	return outcome{revisions: revisions}
}

func (e *evaluation) revision(id string) int64 {
	if s := e.states[id]; s != nil {
		return s.revision
	}
	if doc := e.records[id]; doc != nil && doc.live(e.now) {
		return doc.Revision
	}
	return 0
}

func (e *evaluation) restore(id string, old *state) {
	if old == nil {
		delete(e.states, id)
		return
	}
	e.states[id] = old
}

func (e *evaluation) change(id string, op *store.Op) store.Revision {
	e.last++
	s := &state{by: e.last}
	if op.Kind == store.OpPut {
		s.revision, s.value = e.last, op.Value
		if op.TTL > 0 {
			s.expires = e.now.Add(op.TTL).UnixMicro()
		}
	}
	if e.states[id] == nil {
		e.order = append(e.order, id)
	}
	e.states[id] = s
	return store.Revision(s.revision)
}

// batch gives what is left to do: the last state of each record that was changed.
func (e *evaluation) batch() *batchDoc {
	b := &batchDoc{Last: e.last, Batch: newBatchID(), Ops: []change{}}
	done := map[string]bool{}
	for _, id := range e.order {
		s := e.states[id]
		if s == nil || done[id] { // undone, or changed again after that
			continue
		}
		done[id] = true
		if s.revision == 0 && e.records[id] == nil {
			continue // made and deleted in one batch
		}
		b.Ops = append(b.Ops, change{ID: id, Revision: s.by, Delete: s.revision == 0, Value: s.value, Expires: s.expires})
	}
	return b
}

// doubtful gives the records to be set that may be missing when the batch is carried out: those that are missing now,
// and those that may expire and be swept away.
func (e *evaluation) doubtful(b *batchDoc) (missing, there []string) {
	for i := range b.Ops {
		if b.Ops[i].Delete {
			continue
		}
		switch doc := e.records[b.Ops[i].ID]; {
		case doc == nil:
			missing = append(missing, b.Ops[i].ID)
		case doc.Revision == 0 || doc.Expires != 0:
			there = append(there, b.Ops[i].ID)
		}
	}
	return missing, there
}
