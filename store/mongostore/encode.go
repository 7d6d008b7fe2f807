package mongostore

import (
	"bytes"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// uuid is the BSON binary subtype of UUIDs.
const uuid = bson.TypeBinaryUUID

// encode makes the document of a commit that begins at position first. before gives the versions that its streams have
// without it.
func encode(c *store.Commit, id event.ID, first event.Position, recorded time.Time, before []event.Version) bson.Raw {
	return encodeWith(c, id, first, recorded, before, func(b []byte) []byte { return appendEvents(b, c) })
}

// encodeWith is encode with events that the caller appends.
func encodeWith(c *store.Commit, id event.ID, first event.Position, recorded time.Time, before []event.Version, events func([]byte) []byte) bson.Raw {
	total, size := 0, 256
	for i := range c.Appends {
		total += len(c.Appends[i].Events)
		for j := range c.Appends[i].Events {
			size += len(c.Appends[i].Events[j].Data) + 192
		}
	}
	b := make([]byte, 0, size)
	start, b := bsoncore.AppendDocumentStart(b)
	b = bsoncore.AppendInt64Element(b, fieldID, int64(first))
	b = bsoncore.AppendInt64Element(b, fieldLast, int64(first)+int64(total)-1)
	b = bsoncore.AppendBinaryElement(b, fieldCommit, uuid, id[:])
	b = bsoncore.AppendInt64Element(b, fieldRecorded, recorded.UnixMicro())
	b = appendPart(b, &c.Appends[0], before[0], 0, true)
	if c.Appends[0].Events[0].Type == event.TombstoneType {
		b = bsoncore.AppendBooleanElement(b, fieldDeleted, true)
	}
	if len(c.Appends) > 1 {
		b = appendMore(b, c, before)
	}
	b = appendIDs(b, c)
	b = events(b)
	b = end(b, start)
	return bson.Raw(b)
}

// end closes a document or array that was begun at start.
func end(b []byte, start int32) []byte {
	b = append(b, 0)
	return bsoncore.UpdateLength(b, start, int32(len(b))-start) //nolint:gosec // documents are at most 16 MiB
}

func appendPart(b []byte, a *store.Append, before event.Version, at int, top bool) []byte {
	b = bsoncore.AppendStringElement(b, fieldStream, string(a.Stream))
	if top {
		b = bsoncore.AppendStringElement(b, fieldCategory, a.Stream.Category())
	}
	b = bsoncore.AppendInt64Element(b, fieldFrom, int64(before)+1)
	b = bsoncore.AppendInt64Element(b, fieldTo, int64(before)+int64(len(a.Events)))
	if at > 0 {
		b = bsoncore.AppendInt64Element(b, fieldAt, int64(at))
	}
	return b
}

// appendMore adds the parts after the first, and by what they are found.
func appendMore(b []byte, c *store.Commit, before []event.Version) []byte {
	array, b := bsoncore.AppendArrayElementStart(b, fieldMore)
	at := len(c.Appends[0].Events)
	for i := 1; i < len(c.Appends); i++ {
		var part int32
		part, b = bsoncore.AppendDocumentElementStart(b, strconv.Itoa(i-1))
		b = end(appendPart(b, &c.Appends[i], before[i], at, false), part)
		at += len(c.Appends[i].Events)
	}
	b = end(b, array)
	var names []string
	for i := 1; i < len(c.Appends); i++ {
		names = append(names, string(c.Appends[i].Stream))
		if category := c.Appends[i].Stream.Category(); !slices.Contains(names, category) {
			names = append(names, category)
		}
	}
	array, b = bsoncore.AppendArrayElementStart(b, fieldAlso)
	for i, name := range names {
		b = bsoncore.AppendStringElement(b, strconv.Itoa(i), name)
	}
	return end(b, array)
}

func appendIDs(b []byte, c *store.Commit) []byte {
	array, b := bsoncore.AppendArrayElementStart(b, fieldIDs)
	n := 0
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			b = bsoncore.AppendBinaryElement(b, strconv.Itoa(n), uuid, c.Appends[i].Events[j].ID[:])
			n++
		}
	}
	return end(b, array)
}

func appendEvents(b []byte, c *store.Commit) []byte {
	array, b := bsoncore.AppendArrayElementStart(b, fieldEvents)
	var metadata []byte
	n := 0
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			e := &c.Appends[i].Events[j]
			metadata = e.Metadata.AppendJSON(metadata[:0])
			var doc int32
			doc, b = bsoncore.AppendDocumentElementStart(b, strconv.Itoa(n))
			b = end(appendEvent(b, e, metadata), doc)
			n++
		}
	}
	return end(b, array)
}

func appendEvent(b []byte, e *event.Pending, metadata []byte) []byte {
	b = bsoncore.AppendStringElement(b, fieldType, e.Type)
	b = appendBytes(b, fieldData, e.Data)
	if string(metadata) != "{}" {
		b = appendBytes(b, fieldMetadata, metadata)
	}
	if len(e.Tags) > 0 {
		var array int32
		array, b = bsoncore.AppendArrayElementStart(b, fieldTags)
		for i, tag := range e.Tags {
			b = bsoncore.AppendStringElement(b, strconv.Itoa(i), string(tag))
		}
		b = end(b, array)
	}
	if e.SchemaVersion != 1 {
		b = bsoncore.AppendInt64Element(b, fieldSchema, int64(e.SchemaVersion))
	}
	if e.ContentType != event.JSON {
		b = bsoncore.AppendStringElement(b, fieldContent, e.ContentType)
	}
	return bsoncore.AppendInt64Element(b, fieldOccurred, e.OccurredAt.UnixMicro())
}

// appendBytes keeps text as text, so that people can read it in their shell. Text with a NUL would not survive every
// server.
func appendBytes(b []byte, key string, value []byte) []byte {
	if utf8.Valid(value) && bytes.IndexByte(value, 0) < 0 {
		b = bsoncore.AppendHeader(b, bsoncore.TypeString, key)
		b = bsoncore.AppendInt32(b, int32(len(value))+1) //nolint:gosec // checked by the store
		return append(append(b, value...), 0)
	}
	return bsoncore.AppendBinaryElement(b, key, bson.TypeBinaryGeneric, value)
}
