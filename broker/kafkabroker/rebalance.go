package kafkabroker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// share is what a stream wants of the group's partitions: all that it gets, usually. One that is leaving, or that is
// stuck, wants only those where it holds messages, and disclaims the rest whenever the group is balanced.
type share struct {
	leaving    bool // messages were given back: it takes no more
	stuck      bool // it is full, and nothing has been answered for a while
	disclaimed bool // a balance is under way that takes away all but what is kept: nothing may be polled
	kept       map[place]bool
	alone      bool        // it has balanced the group last, and was its only member
	closed     bool        // nothing is waited for any more
	watch      *time.Timer // runs while it is full
	progress   time.Time   // when something was polled or answered last
}

// stuckAfter is how long a full stream may stand still before others get the partitions where it holds nothing.
const stuckAfter = 5 * time.Second

// slowAfter is the same at the time when the group is balanced anyway, for a member that joins or leaves: a stream that
// has stood still for so long would let the group wait until it has finished what it holds.
const slowAfter = 200 * time.Millisecond

// assigned is told of partitions that are the stream's now. It is called at the end of each balance.
func (s *stream) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disclaimed = false
	for topic, numbers := range added {
		for _, n := range numbers {
			at := place{topic, n}
			if p := s.partitions[at]; p != nil { // the topic was deleted and made again
				s.dropFetched(p)
				s.lose([]*partition{p})
			}
			s.partitions[at] = newPartition(at)
		}
	}
	if s.watch == nil {
		s.watchProgress()
	}
	s.signal()
}

// revoked is told of partitions that are to be the stream's no longer. It returns once nothing of them is being handled,
// or after RevokeWait; the group's balance waits for it.
func (s *stream) revoked(_ context.Context, _ *kgo.Client, taken map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaving := s.find(taken)
	if len(leaving) == 0 { // the end of a session, and nothing else
		return
	}
	for _, p := range leaving {
		p.leaving = true
		p.contested.Store(true)
		s.dropFetched(p)
	}
	s.signal()
	deadline, cancel := context.WithTimeout(context.Background(), s.backend.o.RevokeWait)
	defer cancel()
	for !s.closed && deadline.Err() == nil && anyOpen(leaving) {
		s.wait(deadline)
	}
	s.lose(leaving)
}

// lost is told of partitions that were taken away: the group has done without this member.
func (s *stream) lost(_ context.Context, _ *kgo.Client, taken map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disclaimed = false
	leaving := s.find(taken)
	for _, p := range leaving {
		s.dropFetched(p)
	}
	s.lose(leaving)
}

func (s *stream) find(taken map[string][]int32) []*partition {
	var found []*partition
	for topic, numbers := range taken {
		for _, n := range numbers {
			if p := s.partitions[place{topic, n}]; p != nil {
				found = append(found, p)
			}
		}
	}
	return found
}

// lose forgets partitions. What is still being handled of them is theirs who have them next.
func (s *stream) lose(partitions []*partition) {
	before := s.held
	for _, p := range partitions {
		p.lost = true
		p.contested.Store(true)
		s.held -= p.open
		p.entries = nil
		delete(s.partitions, p.place)
		s.client.ResumeFetchPartitions(p.asMap())
	}
	if s.held < before {
		s.madeProgress()
	}
	s.signal()
}

func anyOpen(partitions []*partition) bool {
	for _, p := range partitions {
		if p.open > 0 {
			return true
		}
	}
	return false
}

// claims tells the group what the stream has, and whether it wants what its topics have. What was disclaimed once stays
// so until the balance is over: it may be another's already.
func (s *stream) claims(current map[string][]int32) (has map[string][]int32, wants bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone = false
	if s.full() && time.Since(s.progress) > slowAfter {
		s.stuck = true
	}
	wants = !s.leaving && !s.stuck
	if wants && !s.disclaimed {
		return current, true
	}
	if !s.disclaimed {
		s.disclaimed, s.kept = true, map[place]bool{}
		for at, p := range s.partitions {
			s.kept[at] = p.open > 0
		}
	}
	has = map[string][]int32{}
	for topic, numbers := range current {
		for _, n := range numbers {
			if s.kept[place{topic, n}] {
				has[topic] = append(has[topic], n)
			}
		}
	}
	return has, wants
}

// watchProgress begins to watch a stream that is full. The lock is held.
func (s *stream) watchProgress() {
	s.progress = time.Now()
	if s.full() && s.watch == nil && !s.stuck && !s.leaving && !s.closed {
		s.watch = time.AfterFunc(stuckAfter, s.standsStill)
	}
}

// madeProgress ends that: something was answered. A stream that was stuck wants its share again once it has finished
// half of what it held. The lock is held.
func (s *stream) madeProgress() {
	s.stopWatching()
	s.watchProgress()
	if s.stuck && s.held <= s.prefetch/2 && !s.closed {
		s.stuck = false
		s.client.ForceRebalance()
	}
}

func (s *stream) stopWatching() {
	if s.watch != nil {
		s.watch.Stop()
		s.watch = nil
	}
}

func (s *stream) standsStill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = nil
	if !s.full() || s.alone || s.leaving || s.closed || s.gone != nil {
		return
	}
	s.stuck = true
	s.client.ForceRebalance()
}
