package aggregate

import (
	"container/list"
	"sync"

	"lexigram.dev/events/event"
)

// cache keeps the live aggregates that were used last. Taking one out removes it, so it has one owner at a time; only
// the owner of a state that is stored as it is puts it back.
type cache[S any] struct {
	mu    sync.Mutex
	size  int
	order *list.List // of *live[S], the last used first
	find  map[event.StreamID]*list.Element
}

func newCache[S any](size int) *cache[S] {
	return &cache[S]{size: size, order: list.New(), find: map[event.StreamID]*list.Element{}}
}

// take gives a live aggregate to the caller, or nil.
func (c *cache[S]) take(stream event.StreamID) *live[S] {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.find[stream]
	if !ok {
		return nil
	}
	return c.remove(element)
}

// put takes a live aggregate from the caller. Of two of one stream, the newer stays.
func (c *cache[S]) put(l *live[S]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.find[l.stream]; ok {
		if other := c.remove(element); other.version > l.version {
			l = other
		}
	}
	l.cached, l.base, l.history, l.partial = true, nil, nil, true
	c.find[l.stream] = c.order.PushFront(l)
	if c.order.Len() > c.size {
		c.remove(c.order.Back())
	}
}

func (c *cache[S]) remove(element *list.Element) *live[S] {
	l := c.order.Remove(element).(*live[S])
	delete(c.find, l.stream)
	return l
}
