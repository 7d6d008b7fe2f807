package sqlitestore

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

const (
	firstChunk  = 2 << 10  // of payloads that share an allocation, doubled up to bytesChunk: most streams are short
	bytesChunk  = 32 << 10 // the largest that Go's allocator keeps lists of
	textChunk   = 8 << 10  // of stream names that share an allocation
	maxInterned = 1024     // different values of one column that are kept to be shared
)

// decoder turns rows into events. Events get parts of larger allocations, with their capacity cut off: they are the
// caller's to change, and cannot grow into each other.
type decoder struct {
	events []event.Recorded
	size   int            // bytes of data and metadata of the events
	stream event.StreamID // of all rows, where that is known; saves decoding it

	bytes             []byte
	text              strings.Builder
	types, mediaTypes interned
}

// add decodes the current row of a statement whose result is eventColumns. It sets every field, since the memory of
// earlier pages is used again.
func (d *decoder) add(stmt *sqlite.Stmt) error {
	if len(d.events) < cap(d.events) {
		d.events = d.events[:len(d.events)+1]
	} else {
		d.events = append(d.events, event.Recorded{})
	}
	e := &d.events[len(d.events)-1]
	e.Position = event.Position(stmt.ColumnInt64(colPosition))
	if e.Stream = d.stream; e.Stream == "" {
		e.Stream = event.StreamID(d.newText(stmt, colStream))
	}
	e.Version = event.Version(stmt.ColumnInt64(colVersion))
	e.Type = d.types.column(stmt, colType)
	e.SchemaVersion = int(stmt.ColumnInt64(colSchemaVersion))
	e.ContentType = d.mediaTypes.column(stmt, colContentType)
	if n := stmt.ColumnBytes(colID, e.ID[:]); n != len(e.ID) {
		return fmt.Errorf("%w: the id at position %d has %d bytes", store.ErrCorrupt, e.Position, n)
	}
	e.OccurredAt = time.UnixMicro(stmt.ColumnInt64(colOccurredAt)).UTC()
	e.RecordedAt = time.UnixMicro(stmt.ColumnInt64(colRecordedAt)).UTC()
	e.RawMetadata = d.newBytes(stmt, colMetadata)
	e.Data = d.newBytes(stmt, colData)
	d.size += len(e.RawMetadata) + len(e.Data)
	e.Tags = nil
	if stmt.ColumnType(colTags) == sqlite.TypeNull {
		return nil
	}
	var err error
	if e.Tags, err = decodeTags(stmt.ColumnText(colTags)); err != nil {
		return fmt.Errorf("%w: the tags at position %d: %w", store.ErrCorrupt, e.Position, err)
	}
	return nil
}

// newBytes gives the bytes of a column.
func (d *decoder) newBytes(stmt *sqlite.Stmt, col int) []byte {
	free := d.bytes[len(d.bytes):cap(d.bytes)]
	n := stmt.ColumnBytes(col, free)
	if n == len(free) { // it may not have fitted
		size := stmt.ColumnLen(col)
		if size > bytesChunk/8 {
			own := make([]byte, size)
			stmt.ColumnBytes(col, own)
			return own
		}
		d.bytes = make([]byte, 0, max(firstChunk, size, min(2*cap(d.bytes), bytesChunk)))
		n = stmt.ColumnBytes(col, d.bytes[:size])
	}
	from := len(d.bytes)
	d.bytes = d.bytes[:from+n]
	return d.bytes[from : from+n : from+n]
}

// newText gives the text of a column.
func (d *decoder) newText(stmt *sqlite.Stmt, col int) string {
	var buf [256]byte
	n := stmt.ColumnBytes(col, buf[:])
	if n == len(buf) { // it may not have fitted
		return stmt.ColumnText(col)
	}
	if d.text.Cap()-d.text.Len() < n {
		d.text = strings.Builder{}
		d.text.Grow(textChunk)
	}
	from := d.text.Len()
	d.text.Write(buf[:n])
	return d.text.String()[from:]
}

// interned gives out the texts of a column that has few different values, each as one string.
type interned struct {
	last  string // mostly the next one too
	known map[string]string
}

func (k *interned) column(stmt *sqlite.Stmt, col int) string {
	var buf [128]byte
	n := stmt.ColumnBytes(col, buf[:])
	if n == len(buf) { // it may not have fitted
		return stmt.ColumnText(col)
	}
	if string(buf[:n]) == k.last {
		return k.last
	}
	s, known := k.known[string(buf[:n])]
	if !known {
		if k.known == nil || len(k.known) >= maxInterned {
			k.known = map[string]string{}
		}
		s = string(buf[:n])
		k.known[s] = s
	}
	k.last = s
	return s
}

// encodeTags gives the JSON array that the tags column keeps: order and repetitions as they were given.
func encodeTags(tags []event.Tag) string {
	text, err := json.Marshal(tags)
	if err != nil { // cannot happen: strings marshal
		return "[]"
	}
	return string(text)
}

func decodeTags(text string) ([]event.Tag, error) {
	var tags []event.Tag
	err := json.Unmarshal([]byte(text), &tags)
	return tags, err
}
