package memstore

import (
	"lexigram.dev/events/event"
)

// chunkSize is how many events share one allocation. Chunks never move, so that the log grows without being copied.
const chunkSize = 1024

// log is the sequence of all events; position p is entry p-1. A truncated event leaves an entry without an id.
type log struct {
	chunks [][]event.Recorded
	length int
}

func (l *log) head() event.Position { return event.Position(l.length) }

func (l *log) add(e event.Recorded) {
	if l.length%chunkSize == 0 {
		l.chunks = append(l.chunks, make([]event.Recorded, 0, chunkSize))
	}
	last := &l.chunks[len(l.chunks)-1]
	*last = append(*last, e)
	l.length++
}

// at gives the entry at a position from 1 to head.
func (l *log) at(p event.Position) *event.Recorded {
	return &l.chunks[(p-1)/chunkSize][(p-1)%chunkSize]
}

// stream is the index of one stream: where each of its versions is.
type stream struct {
	first     event.Version // version of positions[0]
	positions []event.Position
	deleted   bool
}

func (s *stream) version() event.Version {
	if s == nil {
		return 0
	}
	return s.first + event.Version(len(s.positions)) - 1
}

// at gives the position of a version from first to version().
func (s *stream) at(v event.Version) event.Position { return s.positions[v-s.first] }
