package memstore

import (
	"slices"
	"time"

	"lexigram.dev/events/event"
)

// chunkSize is how many events share one allocation. Chunks never move, so that the log grows without being copied.
const chunkSize = 1024

// bytesChunk is how many bytes of events share one allocation. It is freed when all events in it have been truncated.
const bytesChunk = 256 << 10

// log is the sequence of all events; position p is entry p-1. A truncated event leaves an empty entry.
type log struct {
	chunks [][]entry
	length int
	bytes  []byte // the chunk that keep fills
	kinds  map[kind]*kind
	last   *kind // that was asked for: mostly it is the next one too
}

// entry is an event as the log keeps it: less than half as large as an event.Recorded, since new memory costs more time
// than anything else in an append. It is not changed once it is in, save by erase.
type entry struct {
	id                     event.ID
	stream                 *stream // nil: the entry is empty
	kind                   *kind
	version                event.Version
	bytes                  []byte // the data, then the metadata
	data                   int    // length of the data
	tags                   *[]event.Tag
	occurredAt, recordedAt int64 // microseconds since 1970
}

// kind is what many events have in common.
type kind struct {
	name          string // the type
	schemaVersion int
	contentType   string
}

func (l *log) head() event.Position { return event.Position(l.length) }

// next gives the entry of the next position, to be filled in.
func (l *log) next() *entry {
	if l.length%chunkSize == 0 {
		l.chunks = append(l.chunks, make([]entry, chunkSize))
	}
	l.length++
	return l.at(event.Position(l.length))
}

// at gives the entry at a position from 1 to head.
func (l *log) at(p event.Position) *entry {
	return &l.chunks[(p-1)/chunkSize][(p-1)%chunkSize]
}

// room gives place for n bytes of an event.
func (l *log) room(n int) []byte {
	if n > cap(l.bytes)-len(l.bytes) {
		if n > bytesChunk/8 {
			return make([]byte, 0, n)
		}
		l.bytes = make([]byte, 0, bytesChunk)
	}
	from := len(l.bytes)
	l.bytes = l.bytes[:from+n]
	return l.bytes[from:from:len(l.bytes)]
}

// keep copies data and metadata into the entry.
func (l *log) keep(e *entry, data, metadata []byte) {
	e.bytes = append(append(l.room(len(data)+len(metadata)), data...), metadata...)
	e.data = len(data)
}

// kind gives the one that is shared.
func (l *log) kind(k kind) *kind {
	if l.last != nil && *l.last == k {
		return l.last
	}
	shared := l.kinds[k]
	if shared == nil {
		shared = new(kind)
		*shared = k
		if l.kinds == nil {
			l.kinds = map[kind]*kind{}
		}
		l.kinds[k] = shared
	}
	l.last = shared
	return shared
}

func (e *entry) setTags(tags []event.Tag) {
	if len(tags) > 0 {
		own := slices.Clone(tags)
		e.tags = &own
	}
}

func (e *entry) empty() bool { return e.stream == nil }

func (e *entry) tagged() []event.Tag {
	if e.tags == nil {
		return nil
	}
	return *e.tags
}

// recorded gives the event, which shares its slices with the entry.
func (e *entry) recorded(p event.Position) event.Recorded {
	return event.Recorded{
		ID: e.id, Stream: e.stream.name, Version: e.version, Position: p,
		Type: e.kind.name, SchemaVersion: e.kind.schemaVersion, ContentType: e.kind.contentType,
		Data: e.bytes[:e.data:e.data], RawMetadata: e.bytes[e.data:], Tags: e.tagged(),
		OccurredAt: timeOf(e.occurredAt), RecordedAt: timeOf(e.recordedAt),
	}
}

func timeOf(micro int64) time.Time { return time.UnixMicro(micro).UTC() }

// stream is the index of one stream: where each of its versions is.
type stream struct {
	name      event.StreamID
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

// stream gives the stream of that name, a new one if there is none.
func (b *Backend) stream(name event.StreamID) *stream {
	s := b.streams[name]
	if s == nil {
		s = &stream{name: name, first: 1}
		b.streams[name] = s
	}
	return s
}

// erase empties the entry at a position.
func (b *Backend) erase(p event.Position) {
	e := b.log.at(p)
	id := e.id
	*e = entry{id: id} // the order of ids rests on it
	b.ids.remove(id)
}
