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
}

func (v *versions) get(stream event.StreamID) (tail, bool) {
	if t, known := v.young[stream]; known {
		return t, true
	}
	t, known := v.old[stream]
	if known {
		v.set(stream, t)
	}
	return t, known
}

func (v *versions) set(stream event.StreamID, t tail) {
	if len(v.young) >= v.limit {
		v.old = v.young
		v.young = nil
	}
	if v.young == nil {
		v.young = make(map[event.StreamID]tail)
	}
	v.young[stream] = t
}
