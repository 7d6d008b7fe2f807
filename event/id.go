package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ID identifies an event for ever. It is a UUID; [NewID] makes version 7 (RFC 9562), so that ids sort by the time they
// were made and land next to each other in an index. The zero ID means "none".
type ID [16]byte

// lastTick is the newest tick that NewID has given out. It is the only state behind ids: it keeps the ids of one
// process strictly increasing even when the clock stands still or steps back.
var lastTick atomic.Int64 //nolint:gochecknoglobals // a clock that never stands still is a property of the process

// NewID makes a version 7 UUID from the system clock. It is safe for concurrent use, and every id is greater than the
// one made before it in the same process. A tick is 1/4096 ms, kept in rand_a as RFC 9562 §6.2 method 3 describes.
func NewID() ID { return NewIDAt(time.Now()) }

// NewIDAt is NewID for callers that have just read the system clock, which takes half of an id's time.
func NewIDAt(now time.Time) ID {
	tick := now.UnixMilli()<<12 | int64(now.Nanosecond()%int(time.Millisecond))<<12/int64(time.Millisecond)
	for {
		last := lastTick.Load()
		next := max(tick, last+1)
		if lastTick.CompareAndSwap(last, next) {
			return idAt(next, rand.Uint64())
		}
	}
}

func idAt(tick int64, random uint64) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(tick)>>12<<16|0x7000|uint64(tick)&0xfff)
	binary.BigEndian.PutUint64(id[8:], random&^(3<<62)|1<<63)
	return id
}

// DerivedID gives the same id for the same namespace and name, always and everywhere: the way to make an append of
// input that may be read twice (a log line, a message) idempotent. It is a version 8 UUID over SHA-256.
func DerivedID(namespace ID, name string) ID {
	h := sha256.New()
	h.Write(namespace[:])
	h.Write([]byte(name))
	id := ID(h.Sum(nil)[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the 36-character form of a UUID of any version.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("parse event id %q: not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", s)
	}
	plain := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(plain)); err != nil {
		return ID{}, fmt.Errorf("parse event id %q: %w", s, err)
	}
	return id, nil
}

// IsZero reports whether the id is the zero value, "none".
func (id ID) IsZero() bool { return id == ID{} }

// String gives the 36-character form.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
