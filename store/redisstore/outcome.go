package redisstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// lookUpPatience bounds one attempt to find out what became of a batch.
const lookUpPatience = 10 * time.Second

// conclude finishes a batch whose answer has come. What was neither accepted nor is at fault goes back into the queue.
func (w *writer) conclude(ctx context.Context, b *batch, r *reply) {
	defer w.queue.Finish(b.Batch)
	head, verdicts, err := w.verdicts(b.plan, r)
	if err != nil {
		b.failAll(errUnknown(err))
		return
	}
	var unconfirmed error
	accepts := func(v verdict) bool { return v.code == 0 }
	if slices.ContainsFunc(verdicts, accepts) {
		unconfirmed = w.confirm(ctx)
		w.committed()
	}
	var refused []int
	for i := range verdicts {
		v := &verdicts[i]
		if v.code != 0 {
			refused = append(refused, i)
			continue
		}
		first := head + 1
		head += event.Position(b.members[i].events)
		if unconfirmed != nil {
			b.requests[i].Fail(unconfirmed)
			continue
		}
		b.requests[i].Resolve(store.Result{First: first, Last: head, Versions: v.versions})
	}
	if len(refused) > 0 {
		w.refuse(ctx, b, refused, verdicts)
	}
}

// refuse answers members of which nothing was stored now.
func (w *writer) refuse(ctx context.Context, b *batch, refused []int, verdicts []verdict) {
	b.Hold()
	present := b.present()
	var byID []int
	for _, i := range refused {
		switch v := &verdicts[i]; {
		case !slices.Contains(present, i):
		case v.code == 'I':
			byID = append(byID, i)
		case v.code != 'A': // those have an id in common with a neighbour: their turn comes after it
			b.requests[i].Fail(v.complaint(&b.requests[i].Commit))
		}
	}
	if len(byID) > 0 {
		w.answerByID(ctx, b, byID)
	}
}

// answerByID answers members that have ids which are stored already. The batch is held.
func (w *writer) answerByID(ctx context.Context, b *batch, members []int) {
	found, err := w.lookUp(ctx, b.idsOf(members))
	if err != nil {
		err = errUnknown(err) // whether it is a duplicate cannot be told
	} else {
		err = w.confirm(ctx) // what an earlier attempt has stored may be waiting for replicas still
	}
	for _, i := range members {
		r := b.requests[i]
		if err != nil {
			r.Fail(err)
			continue
		}
		if result, duplicate, reused := store.FirstResult(r.Commit, found.of(&r.Commit)); duplicate {
			result.Duplicate = r.Versions == nil // else an attempt of ours, thought lost, stored it
			r.Resolve(result)
		} else if reused != nil {
			r.Fail(reused)
		} // else they were removed meanwhile: append again
	}
}

// recover finds out what became of a batch whose connection was lost between sending and answer, by the ids of its
// events. What is not stored goes back into the queue. Should the server still carry out the lost attempt, then before
// the next one, which finds the ids, or after it, when the lost one finds them.
func (w *writer) recover(ctx context.Context, b *batch, cause error) {
	defer w.queue.Finish(b.Batch)
	for try := 0; ; try++ {
		b.Hold()
		present := b.present()
		if len(present) == 0 {
			return
		}
		ids := b.idsOf(present)
		b.Release()
		found, err := w.lookUp(ctx, ids)
		if err == nil {
			err = w.confirm(ctx)
		}
		if err == nil {
			w.found()
			b.Hold()
			w.answerFound(b, found)
			return
		}
		if !w.wait(ctx, try, err) {
			b.failAll(errUnknown(errors.Join(cause, w.explain(ctx, err))))
			return
		}
	}
}

// answerFound answers the members that are stored, and notes that the others were sent. The batch is held.
func (w *writer) answerFound(b *batch, found stored) {
	for _, i := range b.present() {
		r := b.requests[i]
		switch result, ok, err := store.FirstResult(r.Commit, found.of(&r.Commit)); {
		case ok:
			result.Duplicate = false // it was this append that stored it
			r.Resolve(result)
			w.committed()
		case err != nil:
			r.Fail(err)
		default:
			r.Versions = []event.Version{}
		}
	}
}

// idsOf gives the ids of members. The batch is held.
func (b *batch) idsOf(members []int) []event.ID {
	var ids []event.ID
	for _, i := range members {
		eachEvent(&b.requests[i].Commit, func(e *event.Pending) { ids = append(ids, e.ID) })
	}
	return ids
}

func eachEvent(c *store.Commit, do func(e *event.Pending)) {
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			do(&c.Appends[i].Events[j])
		}
	}
}

// stored is events that are in the store, by id.
type stored map[event.ID]event.Recorded

// of gives those that have an id of the commit.
func (s stored) of(c *store.Commit) (found []event.Recorded) {
	eachEvent(c, func(e *event.Pending) {
		if r, ok := s[e.ID]; ok {
			found = append(found, r)
		}
	})
	return found
}

// lookUp finds the stored events that have some ids.
func (w *writer) lookUp(ctx context.Context, ids []event.ID) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpPatience)
	defer cancel()
	found := stored{}
	d := newDecoder()
	for len(ids) > 0 {
		n := min(len(ids), 500)
		args := make([]any, 1, 1+n)
		args[0] = w.keys.pages
		for _, id := range ids[:n] {
			args = append(args, id[:])
		}
		ids = ids[n:]
		r, err := w.Backend.run(ctx, w.writes, &w.scripts.find, []string{w.keys.ids}, args...) // of the primary: a replica may lag
		if err != nil {
			return nil, err
		}
		for range r.array() / 2 {
			var e event.Recorded
			position := event.Position(r.int())
			if err := d.event(position, r.bytes(), &e); err != nil {
				return nil, errors.Join(err, r.err)
			}
			found[e.ID] = e
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return found, nil
}
