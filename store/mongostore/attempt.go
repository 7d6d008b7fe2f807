package mongostore

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// attempt is the work on one batch: check, insert, and again with what did not get its place.
type attempt struct {
	*writer
	batch *groupcommit.Batch
	open  []*groupcommit.Request // without an answer yet
	sent  map[event.ID]*planned  // by commit id: what was inserted without an answer that is known
}

// planned is a request that has passed its checks, at its place.
type planned struct {
	request *groupcommit.Request
	id      event.ID // of this attempt
	doc     bson.Raw
	result  store.Result
	kinds   []kind
	stored  bool
}

func (a *attempt) run(ctx context.Context) {
	a.sent = map[event.ID]*planned{}
	for try := 0; len(a.open) > 0; try++ {
		again, err := a.once(ctx)
		switch {
		case err == nil && !again:
			return // answered, or left for a later batch
		case err != nil && (!isTransient(err) || ctx.Err() != nil):
			a.fail(ctx, err)
			return
		case err == nil && ctx.Err() != nil:
			a.fail(ctx, ctx.Err())
			return
		case try > 0:
			pause(ctx, try)
		}
	}
}

// once checks and inserts what is open. It reports whether to come again.
func (a *attempt) once(ctx context.Context) (again bool, err error) {
	ctx, err = a.prepare(ctx)
	if err != nil {
		return true, err
	}
	if len(a.sent) > 0 {
		if err := a.catchUp(ctx); err != nil {
			return true, err
		}
	}
	a.hold()
	if len(a.open) == 0 {
		return false, nil
	}
	p := plan{attempt: a}
	if err := p.make(ctx); err != nil {
		return true, err
	}
	if len(p.docs) > 0 {
		a.batch.Release() // the documents are copies
		err = a.insert(ctx, p.docs)
		a.hold()
	}
	if err == nil {
		for _, d := range p.docs {
			a.stored(d)
			a.resolve(d)
		}
		if len(p.docs) > 0 {
			a.wake.grown()
		}
		return false, a.refuse(ctx, p.complaints)
	}
	// Some may be stored, and others may have come in between: the log tells.
	if caught := a.catchUp(ctx); caught != nil {
		return true, caught
	}
	if isDuplicate(err) {
		return true, a.afterDuplicate(ctx, p.docs)
	}
	if isTransient(err) {
		err = nil
	}
	return true, err
}

// afterDuplicate is for an insert that ended at the first document that was refused. If its place is still free, its
// ids must be those of stored events; else its place was taken, and what it was checked against has changed.
func (a *attempt) afterDuplicate(ctx context.Context, docs []*planned) error {
	var refused *planned
	for _, d := range docs {
		if !d.stored && refused == nil {
			refused = d
		}
		delete(a.sent, d.id) // it is known what became of it
	}
	if refused == nil || refused.result.First != a.head+1 {
		return nil
	}
	return a.answerByID(ctx, []complaint{{request: refused.request}})
}

// hold takes the open requests back, but for those whose callers have left.
func (a *attempt) hold() {
	a.batch.Hold()
	present := make(map[*groupcommit.Request]bool, len(a.batch.Requests))
	for _, r := range a.batch.Requests {
		present[r] = true
	}
	open := a.open[:0]
	for _, r := range a.open {
		if present[r] {
			open = append(open, r)
		}
	}
	a.open = open
}

// insert sends the documents. They are remembered until it is known what became of them.
func (a *attempt) insert(ctx context.Context, docs []*planned) error {
	raw := make([]any, len(docs))
	for i, d := range docs {
		raw[i] = d.doc
		a.sent[d.id] = d
	}
	_, err := a.commits.InsertMany(ctx, raw)
	return err
}

// resolve answers the request of a stored commit.
func (a *attempt) resolve(d *planned) {
	delete(a.sent, d.id)
	d.stored = true
	if slices.Contains(a.open, d.request) {
		d.request.Resolve(d.result)
		a.answered(d.request)
	}
}

// answered takes a request out that was answered.
func (a *attempt) answered(request *groupcommit.Request) {
	a.open = slices.DeleteFunc(a.open, func(r *groupcommit.Request) bool { return r == request })
}

// catchUp reads what came after head, whoever has stored it.
func (a *attempt) catchUp(ctx context.Context) error {
	grown := false
	defer func() {
		if grown {
			a.wake.grown()
		}
	}()
	err := a.following(ctx, a.head, func(raw bson.Raw) error {
		c, err := a.decoder.commit(raw)
		if err != nil {
			return err
		}
		if err := a.learn(c); err != nil {
			return err
		}
		grown = true
		if d, ours := a.sent[c.id]; ours && d.result.First == c.first {
			a.resolve(d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// What is not there at its place, now taken, will never be: its _id is another's.
	for id, d := range a.sent {
		if d.result.First <= a.head {
			delete(a.sent, id)
		}
	}
	return nil
}

// fail answers all that is open.
func (a *attempt) fail(ctx context.Context, err error) {
	unknown := make(map[*groupcommit.Request]bool, len(a.sent))
	for _, d := range a.sent {
		unknown[d.request] = true
	}
	if ctx.Err() != nil || isTransient(err) {
		err = &kindError{kind: store.ErrUnavailable, err: err}
	}
	for _, r := range a.open {
		if unknown[r] {
			r.Fail(errUnknown("append", err))
		} else {
			r.Fail(translate(context.Background(), err))
		}
	}
	a.open = nil
	if len(a.sent) > 0 {
		a.ready = false // where the log stands must be found out anew
		a.versions, a.recent = versions{limit: rememberedStreams}, recent{}
	}
}
