package pgstore

import (
	"slices"
	"sync"

	"lexigram.dev/events/event"
)

// versions remembers the versions of streams that were appended to lately: COPY must be told versions. What it
// remembers is a guess, which the server checks, unless it is certain; see tip.go. It is a cache of two generations:
// when the young one is full it becomes the old one, and what is used again is young again.
type versions struct {
	limit int

	mu         sync.Mutex
	young, old map[event.StreamID]remembered
	era        uint64 // advances when others have appended: what is of an older era is not certain
	last       tip    // the end of the log, as the last batch that was stored left it; zero: unknown
	sent       []sent // without an answer yet, oldest first
	serial     uint64 // of the last one that was sent
}

// remembered is what there is to know of one stream.
type remembered struct {
	version event.Version // 0 for an unknown stream: mostly it is a new one
	era     uint64        // in which a batch of ours has left the stream at version; 0: version is a guess
	by      uint64        // the last batch that was sent with events for the stream
}

func newVersions(limit int) *versions {
	return &versions{limit: limit, young: map[event.StreamID]remembered{}, era: 1}
}

// find is called with mu held.
func (v *versions) find(stream event.StreamID) remembered {
	if r, known := v.young[stream]; known {
		return r
	}
	return v.old[stream]
}

// put is called with mu held.
func (v *versions) put(stream event.StreamID, r remembered) {
	if len(v.young) >= v.limit {
		v.young, v.old = make(map[event.StreamID]remembered, v.limit), v.young
	}
	v.young[stream] = r
}

// set notes a version that was seen somewhere, so that it is not certain.
func (v *versions) set(stream event.StreamID, version event.Version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.find(stream)
	r.version, r.era = version, 0
	v.put(stream, r)
}

// guess fills in the version of the stream of each part, and notes the ones that the server has to check: the first of
// each stream, since any later one follows from it. It gives false where there is nothing to guess from.
func (v *versions) guess(b *batch) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	var certain []int32
	for i := range b.parts {
		p := &b.parts[i]
		known := v.find(p.stream)
		p.before = known.version
		if known.by != b.serial { // the first of its stream
			if exact, ok := p.expected.Version(); ok {
				p.before = exact
			} else if !p.expected.Allows(p.before) {
				return false
			}
			if known.era == v.era && known.version == p.before {
				certain = append(certain, int32(i))
			} else {
				b.checked = append(b.checked, int32(i))
			}
		}
		// The next batch may be sent before this one is answered.
		v.put(p.stream, remembered{version: p.before + event.Version(p.events), by: b.serial})
	}
	b.doubtful = len(b.checked)
	b.checked = append(b.checked, certain...)
	return true
}

// touch is for a batch whose versions the server finds: until it is answered, nothing is certain of its streams.
func (v *versions) touch(b *batch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range b.parts {
		v.put(b.parts[i].stream, remembered{version: v.find(b.parts[i].stream).version, by: b.serial})
	}
}

// stored notes that the batch, save the refused members, is stored after head. It is called in the order in which the
// batches were sent.
func (v *versions) stored(b *batch, head event.Position, refused []int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if head != v.last.position { // others have appended since
		v.era++
	}
	for i := range b.members {
		if len(refused) > 0 && slices.Contains(refused, i) {
			continue
		}
		head += event.Position(b.members[i].events)
		v.last = tip{position: head, id: b.members[i].last}
		for _, p := range b.of(i) {
			known := v.find(p.stream)
			if known.by != b.serial { // a later batch has events for it
				continue
			}
			known.version, known.era = p.before+event.Version(p.events), v.era
			if p.ends {
				known.era = 0 // the server knows what to say
			}
			v.put(p.stream, known)
		}
	}
	v.drop(b.serial)
}
