package redisstore

import (
	"slices"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// plan is what a call of append.lua takes, and what its answer needs to be understood, so that the commits themselves
// need not be kept.
type plan struct {
	names   *keys
	streams numbers
	indexes numbers
	packed  []byte // the plan as the script reads it, but for its head
	numbers int    // in packed
	events  []byte // one after the other
	ends    []int  // in events
	members []member

	time       int64 // of the server, as it is believed to be: microseconds since 1970
	conditions bool
}

// member is one commit.
type member struct{ parts, events int }

// numbers counts keys, from 1.
type numbers struct {
	of   map[index]int
	keys []string
}

// index names a key without spelling it: the kind is the letter that it begins with.
type index struct {
	kind byte
	name string
}

// planOf makes the plan of some commits; ends says that they end their streams.
func (b *Backend) planOf(commits []store.Commit, ends bool) *plan {
	count, size := 0, 0
	for i := range commits {
		for j := range commits[i].Appends {
			for k := range commits[i].Appends[j].Events {
				count++
				size += len(commits[i].Appends[j].Events[k].Data)
			}
		}
	}
	p := &plan{
		names: &b.keys, streams: numbers{of: make(map[index]int, len(commits))}, indexes: numbers{of: map[index]int{}},
		packed: make([]byte, 0, 64+32*count), events: make([]byte, 0, size+192*count), ends: make([]int, 0, count),
		members: make([]member, len(commits)), time: b.clock.now(),
	}
	for i := range commits {
		p.members[i] = p.add(&commits[i], ends)
	}
	return p
}

func (p *plan) add(c *store.Commit, ends bool) member {
	m := member{parts: len(c.Appends)}
	for i := range c.Appends {
		m.events += len(c.Appends[i].Events)
	}
	p.pack(int64(m.parts), int64(m.events))
	if c.Condition == nil {
		p.pack(-1)
	} else {
		p.pack(int64(len(c.Condition.Query)))
	}
	ending := int64(0)
	if ends {
		ending = 1
	}
	for i := range c.Appends {
		part := &c.Appends[i]
		p.pack(p.stream(part.Stream), p.index('c', part.Stream.Category()), expectation(part.Expected), ending, int64(len(part.Events)))
		version, _ := part.Expected.Version()
		for j := range part.Events {
			version++
			p.addEvent(part.Stream, version, &part.Events[j])
		}
	}
	if c.Condition == nil {
		return m
	}
	p.conditions = true
	p.pack(int64(c.Condition.After))
	for _, item := range c.Condition.Query {
		p.pack(int64(len(item.Types)))
		for _, t := range item.Types {
			p.pack(p.index('t', t))
		}
		p.pack(int64(len(item.Tags)))
		for _, t := range item.Tags {
			p.pack(p.index('g', string(t)))
		}
	}
	return m
}

func expectation(e store.Expected) int64 {
	if v, exact := e.Version(); exact {
		return int64(v)
	}
	if e.IsAny() {
		return -1
	}
	return -2
}

func (p *plan) addEvent(stream event.StreamID, version event.Version, e *event.Pending) {
	p.events = appendEvent(p.events, version, p.time, stream, e)
	p.ends = append(p.ends, len(p.events))
	tags := e.Tags
	if len(tags) > 1 { // an index lists an event once
		tags = slices.Clone(tags)
		slices.Sort(tags)
		tags = slices.Compact(tags)
	}
	p.pack(int64(1+len(tags)), p.index('t', e.Type))
	for _, t := range tags {
		p.pack(p.index('g', string(t)))
	}
}

func (p *plan) pack(values ...int64) {
	for _, v := range values {
		p.packed = packInt(p.packed, v)
	}
	p.numbers += len(values)
}

func (p *plan) stream(s event.StreamID) int64 {
	return p.streams.number(index{'s', string(s)}, p.names.streams)
}

func (p *plan) index(kind byte, name string) int64 {
	prefix := p.names.categories
	switch kind {
	case 't':
		prefix = p.names.types
	case 'g':
		prefix = p.names.tags
	}
	return p.indexes.number(index{kind, name}, prefix)
}

func (n *numbers) number(i index, prefix string) int64 {
	number, ok := n.of[i]
	if !ok {
		n.keys = append(n.keys, prefix+i.name)
		number = len(n.keys)
		n.of[i] = number
	}
	return int64(number)
}

// keys are those of append.lua.
func (p *plan) keys() []string {
	return slices.Concat([]string{p.names.meta, p.names.ids, p.names.cut, p.names.names}, p.streams.keys, p.indexes.keys)
}

// arguments are those of append.lua.
func (p *plan) arguments() []any {
	conditions := int64(0)
	if p.conditions {
		conditions = 1
	}
	packed := packArray(make([]byte, 0, len(p.packed)+32), 3+p.numbers)
	packed = packInt(packInt(packInt(packed, p.time), int64(len(p.streams.keys))), conditions)
	packed = append(packed, p.packed...)
	args := make([]any, 0, 7+len(p.ends))
	args = append(args, p.names.pages, p.names.channel, schema, len(p.names.streams)+1, len(p.names.types)+1, len(p.names.tags)+1, packed)
	start := 0
	for _, end := range p.ends {
		args = append(args, p.events[start:end])
		start = end
	}
	return args
}

// verdict is the script's answer to one commit.
type verdict struct {
	versions []event.Version // of an accepted one
	code     byte            // of a refused one, see append.lua; 0: accepted
	part     int             // the one that is at fault, from 0
	number   int64           // its version, or the position that breaks the condition
	key      string          // that is not ours
}

// verdicts reads the answer of append.lua.
func (b *Backend) verdicts(p *plan, r *reply) (head event.Position, all []verdict, err error) {
	if n := r.array(); n != 2+len(p.members) && r.err == nil {
		return 0, nil, errReply
	}
	head = event.Position(r.int())
	b.clock.set(r.int())
	all = make([]verdict, len(p.members))
	versions := make([]event.Version, 0, len(p.members)+16)
	for i := range all {
		v := &all[i]
		at := len(versions)
		switch {
		case !r.isArray():
			versions = append(versions, event.Version(r.int()))
			v.versions = versions[at : at+1 : at+1]
			continue
		default:
			n := r.array()
			if len(r.rest) == 0 || r.rest[0] == ':' { // versions
				for range n {
					versions = append(versions, event.Version(r.int()))
				}
				v.versions = versions[at:len(versions):len(versions)]
				continue
			}
		}
		v.read(r)
	}
	return head, all, r.err
}

func (v *verdict) read(r *reply) {
	code := r.bytes()
	if len(code) != 1 {
		r.fail(errReply)
		return
	}
	switch v.code = code[0]; v.code {
	case 'D':
		v.part = int(r.int()) - 1
	case 'V':
		v.part = int(r.int()) - 1
		v.number = r.int()
	case 'C':
		v.number = r.int()
	case 'W':
		v.key = string(r.bytes())
	}
}

// complaint is the error of a refused commit; nil where its ids decide.
func (v *verdict) complaint(c *store.Commit) error {
	switch v.code {
	case 'D':
		return &store.StreamDeletedError{Stream: c.Appends[v.part].Stream}
	case 'V':
		part := &c.Appends[v.part]
		return &store.ConflictError{Stream: part.Stream, Expected: part.Expected, Actual: event.Version(v.number)}
	case 'C':
		return &store.ConflictError{Matched: event.Position(v.number), After: c.Condition.After}
	case 'W':
		return foreign(v.key)
	}
	return nil
}

// batch is a batch of the queue on its way: member i of the plan is requests[i].
type batch struct {
	*groupcommit.Batch
	*plan

	requests []*groupcommit.Request // as formed; Batch.Requests loses those whose callers leave
}

// prepare copies what a batch of the queue appends.
func (b *Backend) prepare(from *groupcommit.Batch) *batch {
	commits := make([]store.Commit, len(from.Requests))
	for i, r := range from.Requests {
		commits[i] = r.Commit
	}
	return &batch{Batch: from, plan: b.planOf(commits, false), requests: slices.Clone(from.Requests)}
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
