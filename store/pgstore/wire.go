package pgstore

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"lexigram.dev/events/event"
)

// PostgreSQL's binary formats, by hand: a value is its length as 32 bits (-1: null) and its bytes. They are the same in
// the parameters of a statement's arrays, in COPY and in results. See the functions …recv and …send of the server.

// epoch is 2000-01-01, from which the server counts microseconds.
const epoch = 946_684_800_000_000

func timestamp(t time.Time) int64 { return t.UnixMicro() - epoch }

func timeOf(raw []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw)) + epoch).UTC()
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendBytes(b, raw []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(raw))), raw...)
}

func appendInt32(b []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 4), uint32(v))
}

func appendInt64(b []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), uint64(v))
}

func appendNull(b []byte) []byte { return binary.BigEndian.AppendUint32(b, ^uint32(0)) }

// appendMetadata appends the JSON with its length in front.
func appendMetadata(b []byte, m *event.Metadata) []byte {
	at := len(b)
	b = m.AppendJSON(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// appendArray begins an array of n elements, which the caller appends after it.
func appendArray(b []byte, elementOID uint32, n int) []byte {
	if n == 0 {
		return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 0 /* dimensions */, 0, 0, 0, 0), elementOID)
	}
	b = append(b, 0, 0, 0, 1 /* dimension */, 0, 0, 0, 1 /* may hold nulls */)
	b = binary.BigEndian.AppendUint32(b, elementOID)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, 0, 0, 0, 1) // index of the first
}

// appendTagArray appends tags as a text[] with its length in front; null where there are none.
func appendTagArray(b []byte, tags []event.Tag) []byte {
	if len(tags) == 0 {
		return appendNull(b)
	}
	at := len(b)
	b = appendArray(append(b, 0, 0, 0, 0), pgtype.TextOID, len(tags))
	for _, t := range tags {
		b = appendText(b, string(t))
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

func textArray[S ~string](values []S) []byte {
	b := appendArray(nil, pgtype.TextOID, len(values))
	for _, v := range values {
		b = appendText(b, string(v))
	}
	return b
}

func int64Array(values []int64) []byte {
	b := appendArray(make([]byte, 0, 20+12*len(values)), pgtype.Int8OID, len(values))
	for _, v := range values {
		b = appendInt64(b, v)
	}
	return b
}

func int32Array(values []int32) []byte {
	b := appendArray(make([]byte, 0, 20+8*len(values)), pgtype.Int4OID, len(values))
	for _, v := range values {
		b = appendInt32(b, v)
	}
	return b
}

// arrayLiteral is the text form of an array of tags.
func arrayLiteral(tags []event.Tag) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, t := range tags {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for _, c := range []byte(t) {
			if c == '"' || c == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// elements calls each with the bytes of every element of a binary array; null elements are errors, a null array has
// none.
func elements(raw []byte, each func(value []byte)) error {
	if len(raw) < 20 {
		return nil // null, or no dimensions
	}
	n := int(binary.BigEndian.Uint32(raw[12:]))
	rest := raw[20:]
	for range n {
		if len(rest) < 4 {
			return errArray
		}
		size := int(int32(binary.BigEndian.Uint32(rest)))
		if size < 0 || len(rest) < 4+size {
			return errArray
		}
		each(rest[4 : 4+size])
		rest = rest[4+size:]
	}
	return nil
}

var errArray = errors.New("malformed array in the server's answer")

func int64s(raw []byte) ([]int64, error) {
	var values []int64
	err := elements(raw, func(v []byte) { values = append(values, int64(binary.BigEndian.Uint64(v))) })
	return values, err
}

func int32s(raw []byte) ([]int32, error) {
	var values []int32
	err := elements(raw, func(v []byte) { values = append(values, int32(binary.BigEndian.Uint32(v))) })
	return values, err
}
