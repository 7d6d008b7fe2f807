package redisstore

import (
	"encoding/binary"
	"time"

	"lexigram.dev/events/event"
)

// decoder turns stored bytes into events. Data and metadata stay where they are, each slice capped to itself; strings
// that come again and again are shared.
type decoder struct{ known map[string]string }

const knownStrings = 4096

func newDecoder() *decoder { return &decoder{known: map[string]string{}} }

// event decodes one event.
func (d *decoder) event(position event.Position, raw []byte, e *event.Recorded) error {
	if len(raw) < fixedBytes {
		return corrupt("the event at position %d has %d bytes", position, len(raw))
	}
	e.Position = position
	e.Version = event.Version(binary.BigEndian.Uint64(raw)) //nolint:gosec // written by us
	e.RecordedAt = timeOf(raw[8:])
	e.ID = event.ID(raw[16:32])
	e.SchemaVersion = int(binary.BigEndian.Uint32(raw[32:]))
	e.OccurredAt = timeOf(raw[36:])
	c := cutter{rest: raw[fixedBytes:]}
	e.Type = d.string(c.short())
	if n := c.number16(); n > 0 {
		e.Tags = make([]event.Tag, n)
		for i := range e.Tags {
			e.Tags[i] = event.Tag(d.string(c.short()))
		}
	}
	e.Stream = event.StreamID(d.string(c.short()))
	e.ContentType = d.string(c.short())
	e.RawMetadata = c.long()
	if c.bad {
		return corrupt("the event at position %d cannot be decoded", position)
	}
	e.Data = c.rest
	return nil
}

func timeOf(raw []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC() //nolint:gosec // written by us
}

// string gives the text, shared with equal texts that came before.
func (d *decoder) string(raw []byte) string {
	if s, ok := d.known[string(raw)]; ok { // the compiler makes no string for the look-up
		return s
	}
	s := string(raw)
	if len(d.known) < knownStrings {
		d.known[s] = s
	}
	return s
}

// cutter cuts values with a length in front off the rest.
type cutter struct {
	rest []byte
	bad  bool
}

func (c *cutter) cut(n int) []byte {
	if n > len(c.rest) {
		c.bad, c.rest = true, nil
		return nil
	}
	v := c.rest[:n:n]
	c.rest = c.rest[n:]
	return v
}

func (c *cutter) number16() int {
	if v := c.cut(2); v != nil {
		return int(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (c *cutter) short() []byte { return c.cut(c.number16()) }

func (c *cutter) long() []byte {
	if v := c.cut(4); v != nil {
		return c.cut(int(binary.BigEndian.Uint32(v)))
	}
	return nil
}
