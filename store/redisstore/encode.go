package redisstore

import (
	"encoding/binary"

	"lexigram.dev/events/event"
)

// An event is stored in these bytes, which appendEvent makes; the script puts another head, the first two numbers, in
// front of those whose version is not known before. Numbers are big-endian; times are microseconds since 1970; [n] is the size of a length.
//
//	0   version        8     16  id              16
//	8   recorded at    8     32  schema version   4
//	                         36  occurred at      8
//	44  type [2], tags [2] (each [2]), stream [2], content type [2], metadata [4], data: the rest
//
// prelude.lua knows it too.
const (
	stampBytes = 16
	fixedBytes = 44
)

func appendEvent(b []byte, version event.Version, recorded int64, stream event.StreamID, e *event.Pending) []byte {
	b = appendFacts(b, version, recorded, stream, e)
	at := len(b)
	b = e.Metadata.AppendJSON(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) //nolint:gosec // checked by the store
	return append(b, e.Data...)
}

// appendFacts appends all that stands before the metadata.
func appendFacts(b []byte, version event.Version, recorded int64, stream event.StreamID, e *event.Pending) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(version))  //nolint:gosec // never negative
	b = binary.BigEndian.AppendUint64(b, uint64(recorded)) //nolint:gosec // bits
	b = append(b, e.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(e.SchemaVersion)) //nolint:gosec // checked by the store
	b = binary.BigEndian.AppendUint64(b, uint64(e.OccurredAt.UnixMicro()))
	b = appendShort(b, e.Type)
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.Tags))) //nolint:gosec // checked by the store
	for _, tag := range e.Tags {
		b = appendShort(b, tag)
	}
	b = appendShort(b, stream)
	return appendShort(b, e.ContentType)
}

func appendShort[S ~string](b []byte, s S) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) //nolint:gosec // checked by the store
}

// What the scripts' plans are written in: MessagePack, as far as they need it.

func packArray(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n)) //nolint:gosec // bounded by the store's limits
}

func packInt(b []byte, n int64) []byte {
	if n >= 0 && n < 128 {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}

func packString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(len(s))), s...) //nolint:gosec // bounded by the store's limits
}
