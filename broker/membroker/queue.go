package membroker

import (
	"container/list"
	"slices"

	"lexigram.dev/events/broker"
)

// queue is what one group has to do of one topic. Its messages stand in lanes, one for each key; a lane belongs to the
// stream that holds messages of it, and may go to another when that has acknowledged or given back all of them.
type queue struct {
	lanes   map[string]*lane // those with a key, that are not empty
	ready   *list.List       // of *lane: they have messages to give out and belong to no stream
	open    *list.List       // of *entry: all that are not acknowledged, oldest first
	bytes   int              // of those
	members map[*stream]bool
}

type lane struct {
	queue   *queue
	key     string
	waiting []*entry // to be given out, oldest first
	out     int      // given out, and neither acknowledged nor given back
	owner   *stream  // who holds those; nil where out is 0
	list    *list.List
	place   *list.Element // in list: the queue's or the owner's ready; nil where nothing waits
}

// entry is a message in a queue.
type entry struct {
	message    *broker.Message // shared by the queues: never changed
	number     uint64          // grows in the order of publishing
	size       int
	deliveries int
	lane       *lane
	place      *list.Element // in queue.open
}

// add takes a message in.
func (q *queue) add(m *broker.Message, number uint64) {
	e := &entry{message: m, number: number, size: sizeOf(m)}
	e.place = q.open.PushBack(e)
	q.bytes += e.size
	q.enqueue(e)
}

// enqueue puts an entry into its lane, by its age, to be given out.
func (q *queue) enqueue(e *entry) {
	key := e.message.Key
	l := q.lanes[key]
	if l == nil {
		l = &lane{queue: q, key: key}
		if key != "" {
			q.lanes[key] = l
		}
	}
	e.lane = l
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].number > e.number {
		at--
	}
	l.waiting = slices.Insert(l.waiting, at, e)
	l.settle()
	for s := range q.members {
		s.more.send()
	}
}

// take gives out the oldest entry of a lane to a stream.
func (l *lane) take(s *stream) *entry {
	e := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	l.out++
	l.owner = s
	l.unlist()
	l.settle()
	e.deliveries++
	s.held[e] = true
	return e
}

// put takes an entry back from the stream that held it.
func (l *lane) put(e *entry) {
	delete(l.owner.held, e)
	if l.out--; l.out == 0 {
		l.owner = nil
		l.unlist()
	}
	l.settle()
}

// settle lists the lane where it can be taken next, or forgets it when it is empty.
func (l *lane) settle() {
	switch {
	case len(l.waiting) > 0:
		if l.list == nil {
			l.list = l.queue.ready
			if l.owner != nil {
				l.list = l.owner.ready
			}
			l.place = l.list.PushBack(l)
		}
	case l.out == 0 && l.key != "":
		delete(l.queue.lanes, l.key)
	}
}

func (l *lane) unlist() {
	if l.list != nil {
		l.list.Remove(l.place)
		l.list, l.place = nil, nil
	}
}

// remove forgets an entry for good: it was acknowledged.
func (q *queue) remove(e *entry) {
	q.open.Remove(e.place)
	q.bytes -= e.size
}
