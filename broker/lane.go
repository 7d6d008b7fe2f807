package broker

import (
	"hash/maphash"
	"time"
)

// item is a message that a consumer has taken.
type item struct {
	*Received
	session *session
	next    *item // in its lane
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

// lane holds the messages of one topic and key that were taken, in their order; one without a key has a lane of its own.
// The intake's lock guards it, but for the end of the work on its first item, which is its hand's.
type lane struct {
	topic, key  string
	hash        uint64
	first, last *item       // the first is the one that is handled or pauses
	taken       bool        // a worker has it
	timer       *time.Timer // of the pause; nil: none

	outcome outcome // of the work on the first item, and how long to pause
	pause   time.Duration

	same      *lane // the next one in the table, whose hash ends alike
	following *lane // the next one that is ready, or spare
	before    *lane // all that hold something are a ring
	after     *lane
}

// lanes are those that hold something.
type lanes struct {
	seed  maphash.Seed
	table []*lane // those with a key, by the end of their hash; the length is a power of two
	ring  lane    // stands for the beginning and the end of all
	spare *lane   // to be used again
}

// maxTable bounds the table's length.
const maxTable = 1 << 16

func newLanes(limit int) *lanes {
	size := 64
	for size < limit && size < maxTable {
		size *= 2
	}
	ls := &lanes{seed: maphash.MakeSeed(), table: make([]*lane, size)}
	ls.ring.before, ls.ring.after = &ls.ring, &ls.ring
	return ls
}

func (ls *lanes) place(hash uint64) **lane { return &ls.table[hash&uint64(len(ls.table)-1)] }

// of gives the lane of a topic and key, which may be new.
func (ls *lanes) of(topic, key string) (l *lane, isNew bool) {
	var hash uint64
	if key != "" {
		hash = maphash.String(ls.seed, key)
		for l = *ls.place(hash); l != nil; l = l.same {
			if l.hash == hash && l.key == key && l.topic == topic {
				return l, false
			}
		}
	}
	if l = ls.spare; l == nil {
		l = &lane{}
	} else {
		ls.spare, l.following = l.following, nil
	}
	l.topic, l.key, l.hash = topic, key, hash
	if key != "" {
		at := ls.place(hash)
		l.same, *at = *at, l
	}
	l.before, l.after = ls.ring.before, &ls.ring
	l.before.after, l.after.before = l, l
	return l, true
}

// remove forgets a lane that holds nothing.
func (ls *lanes) remove(l *lane) {
	if l.key != "" {
		at := ls.place(l.hash)
		for *at != l {
			at = &(*at).same
		}
		*at = l.same
	}
	l.before.after, l.after.before = l.after, l.before
	*l = lane{following: ls.spare}
	ls.spare = l
}

// queue is a queue of lanes.
type queue struct {
	first, last *lane
	length      int
}

func (q *queue) push(l *lane) {
	if q.length++; q.last == nil {
		q.first = l
	} else {
		q.last.following = l
	}
	q.last = l
}

// unshift puts a lane before the others.
func (q *queue) unshift(l *lane) {
	if q.length++; q.last == nil {
		q.last = l
	}
	l.following, q.first = q.first, l
}

// pop takes the first lane. There is one.
func (q *queue) pop() *lane {
	l := q.first
	q.length--
	if q.first, l.following = l.following, nil; q.first == nil {
		q.last = nil
	}
	return l
}
