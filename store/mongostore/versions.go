package mongostore

import "lexigram.dev/events/event"

// tail is what a writer knows of a stream's end.
type tail struct {
	version event.Version // 0: no such stream
	deleted bool
}

// versions remembers the ends of streams that were used lately, as of the writer's head. It is a cache of two
// generations: when the young one is full it becomes the old one, and what is used again is young again. It belongs to
// the writer's goroutine.
type versions struct {
	limit      int
	young, old map[event.StreamID]tail
	complete   bool // no stream is missing: the writer has seen the whole log, and nothing was forgotten
}

func (v *versions) get(stream event.StreamID) (tail, bool) {
	if t, known := v.young[stream]; known {
		return t, true
	}
	t, known := v.old[stream]
	if known {
		v.set(stream, t)
	}
	return t, known || v.complete
}

func (v *versions) set(stream event.StreamID, t tail) {
	if _, known := v.young[stream]; !known && len(v.young) >= v.limit {
		v.complete = v.complete && len(v.old) == 0
		v.old = v.young
		v.young = nil
	}
	if v.young == nil {
		v.young = make(map[event.StreamID]tail)
	}
	v.young[stream] = t
}
