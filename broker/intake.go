package broker

import (
	"context"
	"sync"
	"time"
)

// intake holds what a consumer has taken, in one lane for each topic and key: the head of a lane is handled, the rest
// waits behind it. Lanes that can go on take turns.
type intake struct {
	mu      sync.Mutex
	lanes   *lanes
	ready   queue // nobody works on them, and they do not pause
	hands   []*hand
	idle    int     // workers that wait
	settled []*item // handled, to be acknowledged
	held    int     // taken and neither acknowledged nor dropped
	limit   int     // of held
	stopped bool
	ended   bool      // no more is handled
	work    sync.Cond // there is a ready lane, or it was stopped
	space   sync.Cond // there is room, or the waiter's context may have ended

	toAcknowledge sync.Cond // there is something in settled, or it has ended
}

func newIntake(limit int) *intake {
	q := &intake{lanes: newLanes(limit), limit: limit}
	q.work.L, q.space.L, q.toAcknowledge.L = &q.mu, &q.mu, &q.mu
	return q
}

// room waits until something may be taken, and tells how much.
func (q *intake) room(ctx context.Context) (int, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.held >= q.limit && ctx.Err() == nil {
		q.space.Wait()
	}
	return q.limit - q.held, ctx.Err() == nil
}

// wake lets a waiter in room look at its context.
func (q *intake) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.space.Broadcast()
}

// free tells that n items are acknowledged.
func (q *intake) free(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= n
	q.space.Broadcast()
}

// add takes messages in.
func (q *intake) add(s *session, messages []Received) {
	items := make([]item, len(messages))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held += len(messages)
	for i := range messages {
		it := &items[i]
		it.Received, it.session, it.attempt = &messages[i], s, 1
		l, isNew := q.lanes.of(it.Message.Topic, it.Message.Key)
		if isNew {
			l.first = it
			if !q.stopped {
				q.ready.push(l)
			}
		} else {
			l.last.next = it
		}
		l.last = it
	}
	q.work.Signal() // whoever wakes wakes the next
}

// settle takes in what has become of the first item of a lane that was worked on. The lock is held.
func (q *intake) settle(l *lane) {
	l.taken = false
	if l.outcome == tryLater {
		q.pause(l)
		return
	}
	it := l.first
	if l.outcome == handled {
		q.settled = append(q.settled, it) // it counts as held until it is acknowledged
	} else {
		q.held--
		q.space.Broadcast()
	}
	if l.first, it.next = it.next, nil; l.first == nil {
		q.lanes.remove(l)
	} else if !q.stopped {
		q.ready.push(l)
	}
}

// pause lets a lane pause; its first item is then worked on again.
func (q *intake) pause(l *lane) {
	if q.stopped {
		return
	}
	l.timer = time.AfterFunc(l.pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if l.timer = nil; !q.stopped {
			q.ready.push(l)
			q.work.Signal()
		}
	})
}

// stop ends the work: next gives nil. It returns what is in lanes that nobody works on; what waits behind an item that is
// being worked on goes back with its stream, so that no other member gets it before that is done.
func (q *intake) stop() []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.work.Broadcast()
	for _, h := range q.hands {
		q.collect(h)
	}
	var idle []*item
	for l := q.lanes.ring.after; l != &q.lanes.ring; l = l.after {
		if l.timer != nil {
			l.timer.Stop()
		}
		for it := l.first; it != nil && !l.taken; it = it.next {
			idle = append(idle, it)
		}
	}
	return idle
}

// end tells that no more is handled.
func (q *intake) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.toAcknowledge.Signal()
}

// handled waits for items that were handled, and moves them to a slice that is used again; none: it has ended.
func (q *intake) handled(into []*item) []*item {
	clear(into)
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.settled) == 0 && !q.ended {
		q.toAcknowledge.Wait()
	}
	items := q.settled
	q.settled = into[:0]
	return items
}
