package aggregate

import (
	"context"
	"sync"
	"time"

	"lexigram.dev/events/event"
)

// courtesy is the longest that an attempt of an update waits for others of the same aggregate.
const courtesy = time.Second

// lanes let updates of one aggregate in this process follow each other, since only one of them can win anyway. It is a
// courtesy that saves conflicts, not a lock: who waited long enough goes ahead, so an update inside an update of the same
// aggregate does not hang, and the store's check of the version keeps it correct.
type lanes struct {
	mu   sync.Mutex
	open map[event.StreamID]*lane
}

type lane struct {
	taken chan struct{} // holds one element while somebody has the lane
	users int           // who have it or may want it; guarded by lanes.mu
}

// place is one update's place in a lane.
type place struct {
	lanes  *lanes
	stream event.StreamID
	lane   *lane
	held   bool
}

// enter gives a place in the lane of a stream. The caller calls its leave when done.
func (l *lanes) enter(stream event.StreamID) *place {
	l.mu.Lock()
	defer l.mu.Unlock()
	way := l.open[stream]
	if way == nil {
		if l.open == nil {
			l.open = map[event.StreamID]*lane{}
		}
		way = &lane{taken: make(chan struct{}, 1)}
		l.open[stream] = way
	}
	way.users++
	return &place{lanes: l, stream: stream, lane: way}
}

// wait waits for the lane, until it has it, or has waited long enough, or ctx ends. Who has it keeps it.
func (p *place) wait(ctx context.Context) {
	if p.held {
		return
	}
	select {
	case p.lane.taken <- struct{}{}:
		p.held = true
		return
	default:
	}
	timer := time.NewTimer(courtesy)
	defer timer.Stop()
	select {
	case p.lane.taken <- struct{}{}:
		p.held = true
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (p *place) leave() {
	if p.held {
		<-p.lane.taken
	}
	p.lanes.mu.Lock()
	defer p.lanes.mu.Unlock()
	if p.lane.users--; p.lane.users == 0 {
		delete(p.lanes.open, p.stream)
	}
}
