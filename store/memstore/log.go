package memstore

import (
	"bytes"

	"lexigram.dev/events/event"
)

// chunkSize is how many events share one allocation. Chunks never move, so that the log grows without being copied.
const chunkSize = 1024

// bytesChunk is how many bytes of events share one allocation. It is freed when all events in it have been truncated.
const bytesChunk = 256 << 10

// log is the sequence of all events; position p is entry p-1. A truncated event leaves an entry without an id.
type log struct {
	chunks [][]event.Recorded
	length int
	bytes  []byte // the chunk that keep fills
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

// keep copies bytes into the log.
func (l *log) keep(b []byte) []byte {
	if len(b) > cap(l.bytes)-len(l.bytes) {
		if len(b) > bytesChunk/8 {
			return bytes.Clone(b)
		}
		l.bytes = make([]byte, 0, bytesChunk)
	}
	from := len(l.bytes)
	l.bytes = append(l.bytes, b...)
	return l.bytes[from:len(l.bytes):len(l.bytes)]
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
