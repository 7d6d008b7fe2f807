package aggregate

import (
	"container/list"
	"sync"
	"time"

	"lexigram.dev/events/event"
)

// cache keeps the live aggregates that were used last. Taking one out removes it, so it has one owner at a time; only
// the owner of a state that is stored as it is puts it back.
type cache[S any] struct {
	mu    sync.Mutex
	size  int
	ttl   time.Duration // 0: any
	now   func() time.Time
	order *list.List // of kept[S], the last used first
	find  map[event.StreamID]*list.Element
}

// kept is an aggregate, and since when it was not used.
type kept[S any] struct {
	live *live[S]
	at   time.Time
}

func newCache[S any](size int, ttl time.Duration, now func() time.Time) *cache[S] {
	return &cache[S]{size: size, ttl: ttl, now: now, order: list.New(), find: map[event.StreamID]*list.Element{}}
}

// take gives a live aggregate to the caller, or nil.
func (c *cache[S]) take(stream event.StreamID) *live[S] {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.find[stream]
	if !ok {
		return nil
	}
	found := c.remove(element)
	if c.ttl > 0 && c.now().Sub(found.at) > c.ttl {
		return nil
	}
	return found.live
}

// put takes a live aggregate from the caller. Of two of one stream, the newer stays.
func (c *cache[S]) put(l *live[S]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.find[l.stream]; ok {
		if other := c.remove(element); other.live.version > l.version {
			l = other.live
		}
	}
	l.cached, l.base, l.history, l.partial = true, nil, nil, true
	c.find[l.stream] = c.order.PushFront(kept[S]{l, c.now()})
	if c.order.Len() > c.size {
		c.remove(c.order.Back())
	}
}

func (c *cache[S]) remove(element *list.Element) kept[S] {
	l := c.order.Remove(element).(kept[S])
	delete(c.find, l.live.stream)
	return l
}
