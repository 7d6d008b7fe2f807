package store

import (
	"fmt"
	"strings"

	"lexigram.dev/events/event"
)

// Limits bound what is accepted. They are checked before anything is written; a zero field means its default.
type Limits struct {
	MaxStreamBytes      int // length of a stream name; default 255
	MaxTypeBytes        int // length of a type name or content type; default 128
	MaxEventBytes       int // data plus encoded metadata of one event; default 1 MiB
	MaxCommitEvents     int // events in one commit; default 4,096
	MaxCommitBytes      int // data plus metadata of one commit; default 16 MiB
	MaxTags             int // tags of one event; default 32
	MaxTagBytes         int // length of a tag; default 255
	MaxKeyBytes         int // length of a bucket name or key of a record; default 512
	MaxRecordBytes      int // value of a record; default 4 MiB
	MaxBatchOps         int // operations in one Apply; default 4,096
	MaxConditionEntries int // types and tags in one query, all items together; default 256
}

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&l.MaxStreamBytes, 255)
	set(&l.MaxTypeBytes, 128)
	set(&l.MaxEventBytes, 1<<20)
	set(&l.MaxCommitEvents, 4096)
	set(&l.MaxCommitBytes, 16<<20)
	set(&l.MaxTags, 32)
	set(&l.MaxTagBytes, 255)
	set(&l.MaxKeyBytes, 512)
	set(&l.MaxRecordBytes, 4<<20)
	set(&l.MaxBatchOps, 4096)
	set(&l.MaxConditionEntries, 256)
	return l
}

func (l *Limits) checkStream(s event.StreamID) error {
	if len(s) > l.MaxStreamBytes {
		return tooLarge(fmt.Sprintf("length of stream name %q… in bytes", s[:32]), len(s), l.MaxStreamBytes)
	}
	if err := s.Validate(); err != nil {
		return invalid("%w", err)
	}
	if s[0] == '$' {
		return invalid("stream name %q: names that begin with $ belong to the store", s)
	}
	return nil
}

func (l *Limits) checkType(t string) error {
	if len(t) > l.MaxTypeBytes {
		return tooLarge(fmt.Sprintf("length of event type %q… in bytes", t[:32]), len(t), l.MaxTypeBytes)
	}
	if err := event.ValidateName(t); err != nil {
		return invalid("event type %q: %w", t, err)
	}
	if strings.HasPrefix(t, "$") {
		return invalid("event type %q: types that begin with $ belong to the store", t)
	}
	return nil
}

// checkEvent checks an event whose defaults are filled in, and returns a bound of the bytes it counts for.
func (l *Limits) checkEvent(e *event.Pending) (atMost int, err error) {
	if err := l.checkType(e.Type); err != nil {
		return 0, err
	}
	if err := l.checkBody(e); err != nil {
		return 0, err
	}
	if atMost = len(e.Data) + longestJSON(&e.Metadata); atMost <= l.MaxEventBytes {
		return atMost, nil
	}
	size := sizeOf(e)
	if size > l.MaxEventBytes {
		return 0, tooLarge("size of data and metadata in bytes", size, l.MaxEventBytes)
	}
	return size, nil
}

// checkSize checks the size of a commit.
func (l *Limits) checkSize(events []event.Pending) error {
	size := 0
	for i := range events {
		size += sizeOf(&events[i])
	}
	if size > l.MaxCommitBytes {
		return tooLarge("size of the commit in bytes", size, l.MaxCommitBytes)
	}
	return nil
}

// sizeOf is the size of data and metadata.
func sizeOf(e *event.Pending) int { return len(e.Data) + len(e.Metadata.AppendJSON(nil)) }

// longestJSON is at least as long as the JSON of the metadata, and found in a fraction of the time: its names and
// punctuation, and each byte escaped.
func longestJSON(m *event.Metadata) int {
	n := len(m.CorrelationID) + len(m.CausationID) + len(m.Actor) + len(m.Tenant) + len(m.TraceParent) + len(m.TraceState)
	for key, value := range m.Custom {
		n += len(key) + len(value) + 1
	}
	return 128 + 6*n
}

// The first second of the year 1 and the last one of 9999, from 1970.
const firstSecond, lastSecond = -62_135_596_800, 253_402_300_799

// checkBody checks all but the type, and the size of the data.
func (l *Limits) checkBody(e *event.Pending) error {
	if e.SchemaVersion < 0 || e.SchemaVersion > 1<<31-1 {
		return invalid("schema version %d: must be 1 to 2147483647", e.SchemaVersion)
	}
	if len(e.ContentType) > l.MaxTypeBytes {
		return tooLarge("length of the content type in bytes", len(e.ContentType), l.MaxTypeBytes)
	}
	if e.ContentType != event.JSON {
		if err := event.ValidateName(e.ContentType); err != nil {
			return invalid("content type %q: %w", e.ContentType, err)
		}
	}
	if len(e.Tags) > l.MaxTags {
		return tooLarge("number of tags", len(e.Tags), l.MaxTags)
	}
	for _, tag := range e.Tags {
		if len(tag) > l.MaxTagBytes {
			return tooLarge(fmt.Sprintf("length of tag %q… in bytes", tag[:32]), len(tag), l.MaxTagBytes)
		}
		if err := event.ValidateName(string(tag)); err != nil {
			return invalid("tag %q: %w", tag, err)
		}
	}
	if err := e.Metadata.Validate(); err != nil {
		return invalid("%w", err)
	}
	if at := e.OccurredAt.Unix(); at < firstSecond || at > lastSecond {
		return invalid("occurred at %v: the year must be 1 to 9999", e.OccurredAt)
	}
	return nil
}

func (l *Limits) checkQuery(q Query) error {
	entries := 0
	for _, item := range q {
		entries += len(item.Types) + len(item.Tags)
	}
	if entries > l.MaxConditionEntries {
		return tooLarge("number of types and tags in the query", entries, l.MaxConditionEntries)
	}
	return q.validate()
}

func (l *Limits) checkKey(bucket, key string) error {
	for _, part := range [...]struct{ what, text string }{{"bucket", bucket}, {"key", key}} {
		if len(part.text) > l.MaxKeyBytes {
			return tooLarge(fmt.Sprintf("length of %s %q… in bytes", part.what, part.text[:32]), len(part.text), l.MaxKeyBytes)
		}
		if err := event.ValidateName(part.text); err != nil {
			return invalid("%s %q: %w", part.what, part.text, err)
		}
	}
	return nil
}

func (l *Limits) checkOp(o Op) error {
	if o.Kind < OpPut || o.Kind > OpCheck {
		return invalid("operation on %s/%s: unknown kind %d", o.Bucket, o.Key, o.Kind)
	}
	if err := l.checkKey(o.Bucket, o.Key); err != nil {
		return err
	}
	if len(o.Value) > l.MaxRecordBytes {
		return tooLarge(fmt.Sprintf("size of record %s/%s in bytes", o.Bucket, o.Key), len(o.Value), l.MaxRecordBytes)
	}
	if o.TTL < 0 {
		return invalid("record %s/%s: negative time to live %v", o.Bucket, o.Key, o.TTL)
	}
	if r, _ := o.If.Revision(); r < 0 {
		return invalid("record %s/%s: negative revision %d", o.Bucket, o.Key, r)
	}
	return nil
}
