package store

import "lexigram.dev/events/event"

// pooledEvents bounds the commits whose memory is used again: that of a larger one would be kept for nothing.
const pooledEvents = 64

// memory is where a prepared commit lies.
type memory struct {
	events  []event.Pending
	appends []Append
	one     struct { // most commits are one event, and make do with one allocation
		events  [1]event.Pending
		appends [1]Append
	}
}

// memory gives room for so many appends and events; of a commit before, if it is to be given back by release.
func (s *Store) memory(again bool, appends, events int) *memory {
	var m *memory
	if again {
		m, _ = s.free.Get().(*memory)
	}
	if m == nil {
		m = new(memory)
		m.events, m.appends = m.one.events[:0], m.one.appends[:0]
	}
	if cap(m.events) < events {
		m.events = make([]event.Pending, 0, events)
	}
	if cap(m.appends) < appends {
		m.appends = make([]Append, 0, appends)
	}
	return m
}

// release gives the memory back, with nothing in it that would keep a caller's data alive.
func (s *Store) release(m *memory) {
	clear(m.events)
	clear(m.appends)
	m.events, m.appends = m.events[:0], m.appends[:0]
	s.free.Put(m)
}
