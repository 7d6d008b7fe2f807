package kafkabroker

import "lexigram.dev/events/broker"

// place names a partition.
type place struct {
	topic     string
	partition int32
}

// partition is what a stream has of a partition: what was polled, in its order, from the first that is not answered on.
// The stream's lock guards it.
type partition struct {
	place
	entries []*entry
	open    int   // entries that are held
	begun   int64 // the highest offset that somebody has begun with; -1: none
	leaving bool  // it is being taken away
	lost    bool  // it is the stream's no longer
}

// entry is a message that was polled.
type entry struct {
	partition *partition
	offset    int64
	epoch     int32 // of the partition's leader
	state     state
}

type state uint8

const (
	held    state = iota // to be answered
	acked                // handled
	dropped              // given back: the offset never goes past it, and whoever has the partition next reads it again
)

// add notes an entry.
func (p *partition) add(e *entry) {
	p.entries = append(p.entries, e)
	p.open++
}

// advance forgets the handled entries at the head, and tells the last of them; nil: there is none.
func (p *partition) advance() (last *entry) {
	for len(p.entries) > 0 && p.entries[0].state == acked {
		last = p.entries[0]
		p.entries[0] = nil
		p.entries = p.entries[1:]
	}
	return last
}

func (p *partition) asMap() map[string][]int32 { return map[string][]int32{p.topic: {p.partition}} }

// drop gives an entry back. The lock is held.
func (s *stream) drop(e *entry) {
	if e.state == held && !e.partition.lost {
		e.state = dropped
		e.partition.open--
		s.held--
	}
}

// dropReady gives back what was polled and not given out; of one partition, or of all when it is nil. The lock is held.
func (s *stream) dropReady(of *partition) {
	var kept []broker.Received // a new slice: the old one's beginning may be with the receiver
	for _, r := range s.ready {
		e := r.Token.(*entry)
		if of != nil && e.partition != of {
			kept = append(kept, r)
			continue
		}
		s.drop(e)
	}
	s.ready = kept
}

// owned tells whether an attempt at a message may begin. When its partition is being taken away, what stands before the
// last message that was begun is finished, so that no order is lost and nothing is handled twice; the rest is dropped.
func (s *stream) owned(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := e.partition
	if s.gone != nil || p.lost || e.state != held {
		return false
	}
	if p.leaving && e.offset > p.begun {
		s.drop(e)
		s.signal()
		return false
	}
	p.begun = max(p.begun, e.offset)
	return true
}

// farAhead is how many messages of a partition may stand behind one that is not answered, before the stream stops
// reading the partition. They are handled and cannot be committed: so many come again after a crash.
func (s *stream) farAhead() int { return max(1000, 4*s.prefetch) }

var _ broker.Stream = (*stream)(nil)
