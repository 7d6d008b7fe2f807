package kafkabroker

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// place names a partition.
type place struct {
	topic     string
	partition int32
}

// partition is what a stream has of a partition, in its order. The stream's lock guards it.
type partition struct {
	place
	fetched []*kgo.Record // polled and not given out
	lined   bool          // the partition is in the stream's line
	entries []*entry      // given out, from the first that is not answered on
	open    int           // entries that are held
	leaving bool          // it is being taken away
	lost    bool          // it is the stream's no longer

	// These two are looked at without the lock. Who begins with a message notes its offset before it looks whether the
	// partition is contested, who takes the partition away says so before looking at the offset: one sees the other.
	begun     atomic.Int64 // the highest offset that somebody has begun with; -1: none
	contested atomic.Bool  // it is leaving or lost
}

func newPartition(at place) *partition {
	p := &partition{place: at}
	p.begun.Store(-1)
	return p
}

// begin notes that somebody begins with a message.
func (p *partition) begin(offset int64) {
	for before := p.begun.Load(); before < offset && !p.begun.CompareAndSwap(before, offset); before = p.begun.Load() {
	}
}

// entry is a message that was given out.
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

// owned tells whether an attempt at a message may begin. When its partition is being taken away, what stands before the
// last message that was begun is finished, so that no order is lost and nothing is handled twice; the rest is dropped.
func (s *stream) owned(token any) bool {
	e := token.(*entry)
	p := e.partition
	if !p.contested.Load() && !s.wary.Load() {
		if p.begin(e.offset); !p.contested.Load() {
			return true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil || p.lost || e.state != held {
		return false
	}
	if p.leaving && e.offset > p.begun.Load() {
		s.drop(e)
		s.signal()
		return false
	}
	p.begin(e.offset)
	return true
}

// farAhead is how many messages of a partition may stand behind one that is not answered, before the stream stops
// reading the partition. They are handled and cannot be committed: so many come again after a crash.
func (s *stream) farAhead() int { return max(1000, 4*s.prefetch) }

var _ broker.Stream = (*stream)(nil)
