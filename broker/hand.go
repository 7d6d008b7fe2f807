package broker

import (
	"sync"
	"time"
)

// hand is what a worker has taken at once: lanes, on whose first items it works one after the other. To take several spares
// it and the others most of their waits for the intake. Handlers that are slow get one at a time; and whatever they are,
// what a hand has not begun with after a moment goes to other workers, and what it has finished is acknowledged.
type hand struct {
	intake *intake
	size   int         // how many it takes at once; grows while the work is quick. Its worker's own.
	begun  time.Time   // of the work; its worker's own
	timer  *time.Timer // runs while there are several lanes

	mu    sync.Mutex // taken after the intake's
	lanes []*lane
	at    int // the one that is worked on; those before it are finished
}

const (
	maxHand    = 64                   // lanes in one hand
	handMoment = 1 * time.Millisecond // how long a hand keeps what it has not begun with
)

func (q *intake) newHand() *hand {
	h := &hand{intake: q, size: 1}
	h.timer = time.AfterFunc(handMoment, h.open)
	h.timer.Stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hands = append(q.hands, h)
	return h
}

// next gives the item to work on; it may wait. nil: the run has stopped.
func (h *hand) next() *item {
	for {
		h.mu.Lock()
		if h.at < len(h.lanes) {
			it := h.lanes[h.at].first
			h.mu.Unlock()
			return it
		}
		h.mu.Unlock()
		if !h.intake.fill(h) {
			return nil
		}
	}
}

// finish tells the end of the work on the item that next gave.
func (h *hand) finish(o outcome, pause time.Duration) {
	h.mu.Lock()
	l := h.lanes[h.at]
	l.outcome, l.pause = o, pause
	h.at++
	h.mu.Unlock()
	if o != handled { // its pause begins now
		h.open()
	}
}

// open gives the intake what is finished, and what is not begun.
func (h *hand) open() {
	h.intake.mu.Lock()
	defer h.intake.mu.Unlock()
	h.intake.collect(h)
}

// fill gives a hand whose work is done the next lanes. It waits for some, and reports false when the run has stopped.
func (q *intake) fill(h *hand) bool {
	now := time.Now()
	if now.Sub(h.begun) < handMoment {
		h.size = min(2*h.size, maxHand)
	} else {
		h.size = 1
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(h.lanes) > 1 {
		h.timer.Stop()
	}
	q.collect(h)
	for q.ready.length == 0 && !q.stopped {
		q.idle++
		q.work.Wait()
		q.idle--
		now = time.Time{}
	}
	if q.stopped {
		return false
	}
	if h.begun = now; now.IsZero() {
		h.begun = time.Now()
	}
	fair := (q.ready.length + len(q.hands) - 1) / len(q.hands)
	h.mu.Lock()
	for range min(h.size, fair) {
		l := q.ready.pop()
		l.taken = true
		h.lanes = append(h.lanes, l)
	}
	several := len(h.lanes) > 1
	h.mu.Unlock()
	if several {
		h.timer.Reset(handMoment)
	}
	if q.ready.length > 0 && q.idle > 0 {
		q.work.Signal()
	}
	return true
}

// collect takes from a hand all but what is being worked on. The intake's lock is held.
func (q *intake) collect(h *hand) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := len(q.settled)
	for _, l := range h.lanes[:h.at] {
		q.settle(l)
	}
	if len(q.settled) > before {
		q.toAcknowledge.Signal()
	}
	current := h.lanes[h.at:]
	for i := len(current) - 1; i > 0; i-- {
		current[i].taken = false
		if !q.stopped {
			q.ready.unshift(current[i])
		}
	}
	h.lanes = append(h.lanes[:0], current[:min(1, len(current))]...)
	h.at = 0
	if q.ready.length > 0 && q.idle > 0 {
		q.work.Signal()
	}
}
