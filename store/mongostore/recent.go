package mongostore

import (
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// recent is the end of the log as conditions look at it: of each event after base, its position, type and tags. Most
// conditions are about what came after a recent head, and are answered from here. It belongs to the writer's goroutine.
type recent struct {
	base   event.Position // all events after it are here
	events []kind
}

type kind struct {
	position event.Position
	name     string
	tags     []event.Tag
}

// recentEvents is how many events are kept at least, once there are so many; twice as many at most.
const recentEvents = 4096

func (r *recent) add(k kind) {
	if len(r.events) >= 2*recentEvents {
		r.base = r.events[recentEvents-1].position
		r.events = append(r.events[:0], r.events[recentEvents:]...)
	}
	r.events = append(r.events, k)
}

// newest gives the position of the newest event after the given one that the query selects; 0 where there is none.
func (r *recent) newest(q store.Query, after event.Position) event.Position {
	for i := len(r.events) - 1; i >= 0 && r.events[i].position > after; i-- {
		if q.Matches(r.events[i].name, r.events[i].tags) {
			return r.events[i].position
		}
	}
	return 0
}
