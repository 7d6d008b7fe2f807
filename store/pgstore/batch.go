package pgstore

import (
	"slices"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// plan is what some commits, its members, append to which streams, its parts. It keeps what their answers need, so that
// the commits themselves need not be kept.
type plan struct {
	members []member
	parts   []part
}

// member is one commit: its parts begin at parts[first].
type member struct {
	first, length int
	events        int
	last          event.ID       // of its last event
	after         event.Position // of its condition
}

// part is what one commit appends to one stream.
type part struct {
	stream   event.StreamID
	expected store.Expected
	events   int
	ends     bool          // the stream, by a tombstone
	before   event.Version // the stream's version before it: guessed, or as the server found
}

func planOf(commits []store.Commit) plan {
	p := plan{members: make([]member, len(commits)), parts: make([]part, 0, len(commits))}
	for i := range commits {
		m := member{first: len(p.parts), length: len(commits[i].Appends)}
		for j := range commits[i].Appends {
			a := &commits[i].Appends[j]
			last := &a.Events[len(a.Events)-1]
			p.parts = append(p.parts, part{stream: a.Stream, expected: a.Expected, events: len(a.Events), ends: last.Type == event.TombstoneType})
			m.events += len(a.Events)
			m.last = last.ID
		}
		if commits[i].Condition != nil {
			m.after = commits[i].Condition.After
		}
		p.members[i] = m
	}
	return p
}

// of gives the parts of a member.
func (p *plan) of(i int) []part {
	m := &p.members[i]
	return p.parts[m.first : m.first+m.length]
}

// result is that of a member after which the log's head is last, once its parts have their versions.
func (p *plan) result(i int, last event.Position) store.Result {
	parts := p.of(i)
	versions := make([]event.Version, len(parts))
	for j := range parts {
		versions[j] = parts[j].before + event.Version(parts[j].events)
	}
	return store.Result{First: last - event.Position(p.members[i].events) + 1, Last: last, Versions: versions}
}

// batch is a batch of the queue on its way: member i of the plan is requests[i].
type batch struct {
	*groupcommit.Batch
	plan

	requests []*groupcommit.Request // as formed; Batch.Requests loses those whose callers leave
	how      how
	serial   uint64  // counts what was sent
	tip      tip     // the end of the log that makes certain what is not doubtful
	checked  []int32 // the parts whose versions append_begin checks
	doubtful int     // how many of checked, from the first, it checks in any case
}

// how a batch is sent.
type how uint8

const (
	byOne  how = iota // append_one for each: few requests of a single event
	byMany            // append_many: the server finds the versions
	byCopy            // append_begin and COPY: the versions are sent, and checked
)

// fewRequests is up to how many calls of append_one cost less than append_begin with COPY.
const fewRequests = 6

// prepare looks at a batch and decides how to send it.
func (w *writer) prepare(from *groupcommit.Batch) *batch {
	b := &batch{Batch: from, requests: slices.Clone(from.Requests), how: byCopy}
	b.plan = planOf(b.commits())
	w.versions.begin(b)
	guessed := false // wrongly: do not guess again, another process may be as busy on the stream
	for _, r := range b.requests {
		guessed = guessed || r.Versions != nil
	}
	switch {
	case w.mode == Function || guessed:
		b.how = byMany
	case b.single():
		b.how = byOne
	case !w.versions.guess(b):
		b.how = byMany
	}
	if b.how != byCopy {
		w.versions.touch(b)
	}
	return b
}

// single reports whether the batch is few requests of one event each, and without conditions. Only then each can be a
// call of its own: one that is refused stores nothing, and nothing depends on it.
func (b *batch) single() bool {
	if b.Events != len(b.requests) || b.Events > fewRequests {
		return false
	}
	return !slices.ContainsFunc(b.requests, func(r *groupcommit.Request) bool { return r.Commit.Condition != nil })
}

// commits may be called while the batch is held.
func (b *batch) commits() []store.Commit {
	commits := make([]store.Commit, len(b.Requests))
	for i, r := range b.Requests {
		commits[i] = r.Commit
	}
	return commits
}

// present gives the members whose callers are still there; the batch is held.
func (b *batch) present() []int {
	present := make([]int, 0, len(b.Requests))
	for i, r := range b.requests {
		if n := len(present); n < len(b.Requests) && b.Requests[n] == r {
			present = append(present, i)
		}
	}
	return present
}

// failAll answers every request with an error.
func (b *batch) failAll(err error) {
	for _, r := range b.requests {
		r.Fail(err)
	}
}
