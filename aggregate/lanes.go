package aggregate

import (
	"context"
	"sync"
	"time"

	"lexigram.dev/events/event"
)

// courtesy is the longest that an update waits for others of the same aggregate.
const courtesy = 100 * time.Millisecond

// lanes let updates of one aggregate in this process follow each other, since only one of them can win anyway. It is a
// courtesy that saves conflicts, not a lock: who waited long enough goes ahead, so an update inside an update of the same
// aggregate does not hang, and the store's check of the version keeps it correct.
type lanes struct {
	mu   sync.Mutex
	open map[event.StreamID]*lane
}

type lane struct {
	taken chan struct{} // holds one element while an update runs
	users int           // running or waiting; guarded by lanes.mu
}

// enter waits for the lane of a stream. The caller calls leave when done.
func (l *lanes) enter(ctx context.Context, stream event.StreamID) (leave func()) {
	way := l.join(stream)
	held := way.take(ctx)
	return func() {
		if held {
			<-way.taken
		}
		l.leave(stream, way)
	}
}

func (l *lanes) join(stream event.StreamID) *lane {
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
	return way
}

func (l *lanes) leave(stream event.StreamID, way *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if way.users--; way.users == 0 {
		delete(l.open, stream)
	}
}

// take reports whether it got the lane; if not, waiting took too long or ctx ended.
func (w *lane) take(ctx context.Context) bool {
	select {
	case w.taken <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(courtesy)
	defer timer.Stop()
	select {
	case w.taken <- struct{}{}:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}
