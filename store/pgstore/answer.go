package pgstore

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// lookUpPatience bounds a look-up of ids: while it runs, the callers of the batch cannot leave.
const lookUpPatience = 10 * time.Second

// answer finishes a batch whose answer has come. Nothing of it is stored if the answer is an error.
func (w *writer) answer(ctx context.Context, b *batch, r reply) {
	if r.err != nil {
		if r.err.Code != codeAppendConflict {
			w.failed(ctx, b, r.err)
			return
		}
		o, err := readConflict(b, r.err.Detail)
		if err != nil {
			b.failAll(err)
			w.finish(b)
			return
		}
		w.refuse(ctx, b, &o)
		return
	}
	var o outcome
	var err error
	switch b.how {
	case byOne:
		o, err = readOnes(r.rows)
	case byMany:
		o, err = readMany(r.rows)
	case byCopy: // the versions are as guessed
		if len(r.rows) == 1 && len(r.rows[0]) == 1 && len(r.rows[0][0]) == 8 {
			w.accept(b, event.Position(binary.BigEndian.Uint64(r.rows[0][0])))
			return
		}
		err = errors.New("append_begin returned no position")
	}
	if err != nil {
		b.failAll(errUnknown(err))
		w.finish(b)
		return
	}
	w.conclude(ctx, b, &o)
}

// accept finishes a batch that is stored whole, after head.
func (w *writer) accept(b *batch, head event.Position) {
	w.versions.stored(b, head, nil)
	for i, r := range b.requests {
		head += event.Position(b.members[i].events)
		r.Resolve(b.result(i, head))
	}
	w.committed(head)
	w.finish(b)
}

// conclude finishes a batch of which the server has stored what it did not refuse.
func (w *writer) conclude(ctx context.Context, b *batch, o *outcome) {
	b.settle(o)
	head := o.head
	for i, r := range b.requests {
		if len(o.refused) > 0 && slices.Contains(o.refused, i) {
			continue
		}
		head += event.Position(b.members[i].events)
		r.Resolve(b.result(i, head))
	}
	if head > o.head {
		w.versions.stored(b, o.head, o.refused)
		w.committed(head)
	}
	if len(o.refused) == 0 {
		w.finish(b)
		return
	}
	w.refuse(ctx, b, o)
}

// refuse finishes a batch of which some members met a conflict. A member that is stored already is answered with its
// first result, one whose expectations do not hold with its conflict; the others go back into the queue.
func (w *writer) refuse(ctx context.Context, b *batch, o *outcome) {
	defer w.finish(b)
	for j, version := range o.found {
		if b.how == byCopy || version < 0 {
			w.versions.set(b.parts[j].stream, event.Version(max(version, -version)))
		}
	}
	b.Hold()
	var failing []int
	complaints := make(map[int]error)
	for _, i := range b.present() {
		if b.how != byCopy && !slices.Contains(o.refused, i) {
			continue // stored
		}
		if err := b.complaint(i, o); err != nil || slices.Contains(o.reused, i) {
			complaints[i] = err
			failing = append(failing, i)
			continue
		}
		for j := range b.of(i) {
			if _, wrong := o.found[b.members[i].first+j]; wrong { // the guess was: let the server find the versions
				b.requests[i].Versions = []event.Version{}
			}
		}
	}
	w.answerByID(ctx, b, failing, complaints)
}

// answerByID looks up whether the members are stored already, and answers those that are; the others with their
// complaint, if there is one. The batch is held.
func (w *writer) answerByID(ctx context.Context, b *batch, members []int, complaints map[int]error) (answered int) {
	if len(members) == 0 {
		return 0
	}
	found, err := w.lookUp(ctx, b, members, w.withConn)
	for _, i := range members {
		r := b.requests[i]
		if err != nil {
			r.Fail(errUnknown(err)) // whether it is a duplicate cannot be told
			answered++
			continue
		}
		first, duplicate, reused := store.FirstResult(r.Commit, found[i])
		switch {
		case duplicate:
			r.Resolve(first)
		case reused != nil:
			r.Fail(reused)
		case complaints[i] != nil:
			r.Fail(complaints[i])
		default:
			continue
		}
		answered++
	}
	return answered
}

// failed finishes a batch that the server rejected whole, not for a conflict.
func (w *writer) failed(ctx context.Context, b *batch, err *pgconn.PgError) {
	defer w.finish(b)
	if !blamesOne(err) {
		b.failAll(w.explain(ctx, err))
		return
	}
	b.Hold()
	if isIDTaken(err) && w.answerByID(ctx, b, b.present(), nil) > 0 {
		return // the others go back into the queue
	}
	// One of them is at fault, or two of them have an id in common: each gets its own transaction.
	for _, i := range b.present() {
		r := b.requests[i]
		var result store.Result
		err := w.inReadCommitted(ctx, func(conn *pgx.Conn) (err error) {
			result, err = w.appendAlone(ctx, conn, r.Commit)
			return err
		})
		if err != nil {
			r.Fail(w.explain(ctx, err))
			continue
		}
		r.Resolve(result)
		w.committed(result.Last)
	}
}

// lookUp finds the stored events that have ids of the members, by member. The batch is held.
func (w *writer) lookUp(ctx context.Context, b *batch, members []int, with func(context.Context, func(*pgx.Conn) error) error) (map[int][]event.Recorded, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpPatience)
	defer cancel()
	commits := make([]store.Commit, len(members))
	owner := map[event.ID][]int{}
	for n, i := range members {
		commits[n] = b.requests[i].Commit
		for _, a := range commits[n].Appends {
			for j := range a.Events {
				owner[a.Events[j].ID] = append(owner[a.Events[j].ID], i)
			}
		}
	}
	found := make(map[int][]event.Recorded)
	err := with(ctx, func(conn *pgx.Conn) error {
		stored, err := w.byID(ctx, conn, commits)
		for _, e := range stored {
			for _, i := range owner[e.ID] {
				found[i] = append(found[i], e)
			}
		}
		return err
	})
	return found, w.explain(ctx, err)
}
