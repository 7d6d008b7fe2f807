package mongostore

import (
	"context"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// plan is what one round does with the open requests: each is checked against the log up to head and the documents
// that were planned before it.
type plan struct {
	*attempt
	docs       []*planned
	complaints []complaint

	next   event.Position
	tails  map[event.StreamID]tail // of the streams that the planned documents append to
	ids    map[event.ID]bool       // of the requests so far
	stored map[event.ID]event.Recorded
}

// complaint is a request that did not pass its checks. It holds if the documents before it are stored.
type complaint struct {
	request *groupcommit.Request
	err     error // nil: perhaps its ids are stored already
}

func (p *plan) make(ctx context.Context) error {
	if err := p.learnTails(ctx, p.open); err != nil {
		return err
	}
	if p.checkIDs {
		found, err := p.byID(ctx, p.open)
		if err != nil {
			return err
		}
		p.stored = found
	}
	p.next, p.tails, p.ids = p.head+1, map[event.StreamID]tail{}, map[event.ID]bool{}
	for _, r := range append([]*groupcommit.Request(nil), p.open...) {
		if err := p.add(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// add plans one request.
func (p *plan) add(ctx context.Context, r *groupcommit.Request) error {
	if p.repeats(&r.Commit) {
		return nil // of another request of this round: left for a later batch, which finds it stored or not
	}
	if p.answerStored(r) {
		return nil
	}
	conflict, err := p.check(ctx, &r.Commit)
	if err != nil {
		return err
	}
	if conflict != nil {
		p.complaints = append(p.complaints, complaint{request: r, err: conflict})
		return nil //nolint:nilerr // the conflict is the request's alone
	}
	d := p.place(r)
	if size := len(d.doc); size > p.server.maxBytes {
		r.Fail(tooLarge("size of the commit", size, p.server.maxBytes))
		p.answered(r)
		return nil
	}
	p.docs = append(p.docs, d)
	for i := range r.Commit.Appends {
		part := &r.Commit.Appends[i]
		p.tails[part.Stream] = tail{version: d.result.Versions[i], deleted: part.Events[0].Type == event.TombstoneType}
	}
	p.next = d.result.Last + 1
	return nil
}

// repeats reports whether one of the commit's ids is in an earlier request of this round, and notes them.
func (p *plan) repeats(c *store.Commit) bool {
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			if p.ids[c.Appends[i].Events[j].ID] {
				return true
			}
		}
	}
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			p.ids[c.Appends[i].Events[j].ID] = true
		}
	}
	return false
}

// answerStored answers a request whose ids were found in the log.
func (p *plan) answerStored(r *groupcommit.Request) bool {
	if len(p.stored) == 0 {
		return false
	}
	first, duplicate, reused := store.FirstResult(r.Commit, pick(p.stored, &r.Commit))
	switch {
	case duplicate:
		r.Resolve(first)
	case reused != nil:
		r.Fail(reused)
	default:
		return false
	}
	p.answered(r)
	return true
}

// check gives the conflict that a commit meets; nil for none.
func (p *plan) check(ctx context.Context, c *store.Commit) (conflict, err error) {
	for i := range c.Appends {
		part := &c.Appends[i]
		t := p.tail(part.Stream)
		if t.deleted {
			return &store.StreamDeletedError{Stream: part.Stream}, nil
		}
		if !part.Expected.Allows(t.version) {
			return &store.ConflictError{Stream: part.Stream, Expected: part.Expected, Actual: t.version}, nil
		}
	}
	if c.Condition == nil {
		return nil, nil
	}
	for i := len(p.docs) - 1; i >= 0; i-- {
		for _, k := range p.docs[i].kinds {
			if k.position > c.Condition.After && c.Condition.Query.Matches(k.name, k.tags) {
				return &store.ConflictError{Matched: k.position, After: c.Condition.After}, nil
			}
		}
	}
	matched := p.recent.newest(c.Condition.Query, c.Condition.After)
	if matched == 0 && c.Condition.After < p.recent.base {
		matched, err = p.matching(ctx, c.Condition, p.recent.base)
	}
	if err != nil || matched == 0 {
		return nil, err
	}
	return &store.ConflictError{Matched: matched, After: c.Condition.After}, nil
}

func (p *plan) tail(stream event.StreamID) tail {
	if t, planned := p.tails[stream]; planned {
		return t
	}
	t, _ := p.versions.get(stream) // learned before
	return t
}

// place makes the document of a commit that has passed.
func (p *plan) place(r *groupcommit.Request) *planned {
	c := &r.Commit
	d := &planned{request: r, id: event.NewID()}
	before := make([]event.Version, len(c.Appends))
	d.result = store.Result{First: p.next, Last: p.next - 1, Versions: make([]event.Version, len(c.Appends))}
	for i := range c.Appends {
		before[i] = p.tail(c.Appends[i].Stream).version
		for j := range c.Appends[i].Events {
			e := &c.Appends[i].Events[j]
			d.result.Last++
			d.kinds = append(d.kinds, kind{position: d.result.Last, name: e.Type, tags: append([]event.Tag(nil), e.Tags...)})
		}
		d.result.Versions[i] = before[i] + event.Version(len(c.Appends[i].Events))
	}
	d.doc = encode(c, d.id, d.result.First, p.time(), before)
	return d
}
