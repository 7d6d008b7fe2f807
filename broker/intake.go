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
	ready   []*lane        // nobody works on them, and they do not pause
	lanes   map[key]*lane  // those with a key
	all     map[*lane]bool // all that hold something
	held    int            // taken and neither acknowledged nor dropped
	limit   int            // of held
	stopped bool
	work    sync.Cond // there is a ready lane, or it was stopped
	space   sync.Cond // there is room, or the waiter's context may have ended
}

type key struct{ topic, key string }

type lane struct {
	key     key
	items   []*item // the first is the one that is handled or pauses
	working bool
	timer   *time.Timer // of the pause; nil: none
}

// item is a message that a consumer has taken.
type item struct {
	Received
	session *session
	attempt int   // from 1
	cause   error // why it has failed for good
	unkept  int   // failures to keep it as a dead letter
	failure error // of the last attempt, for the hooks
}

func (it *item) delivery(r Redelivery) Delivery {
	d := Delivery{Message: it.Message, Attempt: it.attempt, Deliveries: it.Deliveries}
	if r == ByBroker {
		d.Attempt = max(1, it.Deliveries)
	}
	return d
}

func newIntake(limit int) *intake {
	q := &intake{lanes: map[key]*lane{}, all: map[*lane]bool{}, limit: limit}
	q.work.L, q.space.L = &q.mu, &q.mu
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

// free tells that n items are acknowledged or dropped.
func (q *intake) free(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= n
	q.space.Broadcast()
}

// add takes messages in.
func (q *intake) add(s *session, messages []Received) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held += len(messages)
	for _, m := range messages {
		it := &item{Received: m, session: s, attempt: 1}
		k := key{m.Message.Topic, m.Message.Key}
		l := q.lanes[k]
		if l == nil {
			l = &lane{key: k}
			q.all[l] = true
			if k.key != "" {
				q.lanes[k] = l
			}
			q.push(l)
		}
		l.items = append(l.items, it)
	}
}

// push makes a lane ready.
func (q *intake) push(l *lane) {
	q.ready = append(q.ready, l)
	q.work.Signal()
}

// next waits for a lane, and takes it to work on its first item; nil: the run has stopped.
func (q *intake) next() (*lane, *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && !q.stopped {
		q.work.Wait()
	}
	if q.stopped {
		return nil, nil
	}
	l := q.ready[0]
	q.ready[0] = nil
	q.ready = q.ready[1:]
	l.working = true
	return l, l.items[0]
}

// done removes the first item of a lane, whose work is over.
func (q *intake) done(l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.working = false
	l.items[0] = nil
	l.items = l.items[1:]
	switch {
	case len(l.items) == 0:
		delete(q.all, l)
		if l.key.key != "" {
			delete(q.lanes, l.key)
		}
	case !q.stopped:
		q.push(l)
	}
}

// later lets a lane pause; its first item is then worked on again.
func (q *intake) later(l *lane, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.working = false
	if q.stopped {
		return
	}
	l.timer = time.AfterFunc(pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if l.timer = nil; !q.stopped {
			q.push(l)
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
	var idle []*item
	for l := range q.all {
		if l.timer != nil {
			l.timer.Stop()
		}
		if !l.working {
			idle = append(idle, l.items...)
		}
	}
	return idle
}
