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
	keys    []string
	places  map[place]int // of keys
	packed  []byte
	events  []byte // one after the other
	ends    []int  // in events
	members []member
}

// member is one commit.
type member struct {
	parts, events int
	after         event.Position // of its condition
}

// place names a key without spelling it.
type place struct {
	kind byte
	name string
}

// The keys that append.lua expects first.
const (
	keyMeta = iota
	keyIDs
	keyCut
	keyNames
	fixedKeys
)

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
		names: &b.keys, keys: make([]string, fixedKeys, fixedKeys+4+2*len(commits)), places: make(map[place]int, 4+2*len(commits)),
		packed: make([]byte, 0, 64+32*count), events: make([]byte, 0, size+192*count), ends: make([]int, 0, count),
		members: make([]member, len(commits)),
	}
	p.keys[keyMeta], p.keys[keyIDs], p.keys[keyCut], p.keys[keyNames] = b.keys.meta, b.keys.ids, b.keys.cut, b.keys.names
	p.packed = packArray(p.packed, len(commits))
	for i := range commits {
		p.members[i] = p.add(&commits[i], ends)
	}
	return p
}

func (p *plan) add(c *store.Commit, ends bool) member {
	m := member{parts: len(c.Appends)}
	if c.Condition == nil {
		p.packed = packArray(p.packed, 1)
	} else {
		p.packed = packArray(p.packed, 2)
	}
	p.packed = packArray(p.packed, len(c.Appends))
	for i := range c.Appends {
		part := &c.Appends[i]
		m.events += len(part.Events)
		p.packed = packArray(p.packed, 5)
		p.pack('s', string(part.Stream))
		p.pack('c', part.Stream.Category())
		p.packed = packInt(p.packed, expectation(part.Expected))
		p.packed = packArray(p.packed, len(part.Events))
		for j := range part.Events {
			p.addEvent(part.Stream, &part.Events[j])
		}
		p.packed = packBool(p.packed, ends)
	}
	if c.Condition != nil {
		m.after = c.Condition.After
		p.packed = packArray(p.packed, 1+len(c.Condition.Query))
		p.packed = packInt(p.packed, int64(c.Condition.After))
		for _, item := range c.Condition.Query {
			p.packed = packArray(p.packed, 2)
			p.packed = packArray(p.packed, len(item.Types))
			for _, t := range item.Types {
				p.pack('t', t)
			}
			p.packed = packArray(p.packed, len(item.Tags))
			for _, t := range item.Tags {
				p.pack('g', string(t))
			}
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

func (p *plan) addEvent(stream event.StreamID, e *event.Pending) {
	p.events = appendEvent(p.events, stream, e)
	p.ends = append(p.ends, len(p.events))
	if len(e.Tags) == 0 {
		p.pack('t', e.Type)
		return
	}
	tags := e.Tags
	if len(tags) > 1 { // an index lists an event once
		tags = slices.Clone(tags)
		slices.Sort(tags)
		tags = slices.Compact(tags)
	}
	p.packed = packArray(p.packed, 1+len(tags))
	p.pack('t', e.Type)
	for _, t := range tags {
		p.pack('g', string(t))
	}
}

// pack writes the place of a key, as Lua counts.
func (p *plan) pack(kind byte, name string) {
	at := place{kind, name}
	n, ok := p.places[at]
	if !ok {
		prefix := p.names.streams
		switch kind {
		case 'c':
			prefix = p.names.categories
		case 't':
			prefix = p.names.types
		case 'g':
			prefix = p.names.tags
		}
		p.keys = append(p.keys, prefix+name)
		n = len(p.keys)
		p.places[at] = n
	}
	p.packed = packInt(p.packed, int64(n))
}

// arguments are those of append.lua.
func (p *plan) arguments() []any {
	args := make([]any, 0, 7+len(p.ends))
	args = append(args, p.names.pages, p.names.channel, schema, len(p.names.streams)+1, len(p.names.types)+1, len(p.names.tags)+1, p.packed)
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
func (p *plan) verdicts(r *reply) (head event.Position, all []verdict, err error) {
	if n := r.array(); n != 1+len(p.members) && r.err == nil {
		return 0, nil, errReply
	}
	head = event.Position(r.int())
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
