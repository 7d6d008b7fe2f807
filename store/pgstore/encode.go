package pgstore

import (
	"encoding/binary"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Names of the statements that are prepared on the appending connection.
const (
	stmtBegin = "lx_begin"
	stmtCopy  = "lx_copy"
	stmtTags  = "lx_tags"
	stmtOne   = "lx_one"
	stmtMany  = "lx_many"
)

// encode appends the messages that append the batch: one implicit transaction, which Sync ends. The server skips to
// the Sync after an error, so nothing is copied when a check fails.
func encode(buf []byte, b *batch) ([]byte, error) {
	var err error
	switch b.how {
	case byOne:
		for _, r := range b.Requests {
			if buf, err = encodeCall(buf, stmtOne, oneParameters(&r.Commit.Appends[0])); err != nil {
				return buf, err
			}
		}
	case byMany:
		buf, err = encodeCall(buf, stmtMany, manyParameters(b.commits()))
	case byCopy:
		if buf, err = encodeCall(buf, stmtBegin, beginParameters(b)); err != nil {
			return buf, err
		}
		if buf, err = encodeCall(buf, stmtCopy, nil); err != nil {
			return buf, err
		}
		var tags []event.Tag
		var backs []int64
		buf, tags, backs = encodeRows(buf, b)
		if len(tags) > 0 {
			buf, err = encodeCall(buf, stmtTags, [][]byte{textArray(tags), int64Array(backs)})
		}
	}
	if err != nil {
		return buf, err
	}
	return (&pgproto3.Sync{}).Encode(buf)
}

func encodeCall(buf []byte, statement string, parameters [][]byte) ([]byte, error) {
	bind := pgproto3.Bind{PreparedStatement: statement, Parameters: parameters}
	if len(parameters) > 0 {
		bind.ParameterFormatCodes, bind.ResultFormatCodes = []int16{pgtype.BinaryFormatCode}, []int16{pgtype.BinaryFormatCode}
	}
	buf, err := bind.Encode(buf)
	if err != nil {
		return buf, err
	}
	return (&pgproto3.Execute{}).Encode(buf)
}

// expectation is what our functions take for an Expected.
func expectation(e store.Expected) int64 {
	if v, exact := e.Version(); exact {
		return int64(v)
	}
	if e.IsAny() {
		return -1
	}
	return -2
}

func beginParameters(b *batch) [][]byte {
	streams, expected := make([]event.StreamID, len(b.checked)), make([]int64, len(b.checked))
	for i, p := range b.checked {
		streams[i], expected[i] = b.parts[p].stream, int64(b.parts[p].before)
	}
	var at, id []byte
	if b.tip.position > 0 {
		at, id = binary.BigEndian.AppendUint64(nil, uint64(b.tip.position)), b.tip.id[:]
	}
	return [][]byte{
		textArray(streams), int64Array(expected), conditions(b.commits()), binary.BigEndian.AppendUint32(nil, uint32(b.doubtful)), at, id,
	}
}

// conditionItem is one query item as append_conflicts reads it.
type conditionItem struct {
	Request int            `json:"r"`
	After   event.Position `json:"p"`
	Types   []string       `json:"t"`
	Tags    []event.Tag    `json:"g"`
}

// conditions gives the conditions of the commits as jsonb; nil where there are none.
func conditions(commits []store.Commit) []byte {
	var items []conditionItem
	for i := range commits {
		c := commits[i].Condition
		if c == nil {
			continue
		}
		for _, item := range c.Query {
			ci := conditionItem{Request: i + 1, After: c.After}
			if len(item.Types) > 0 {
				ci.Types = item.Types
			}
			if len(item.Tags) > 0 {
				ci.Tags = item.Tags
			}
			items = append(items, ci)
		}
	}
	if items == nil {
		return nil
	}
	raw, err := json.Marshal(items)
	if err != nil {
		panic(err) // numbers and strings: cannot fail
	}
	return append([]byte{1 /* version of the format */}, raw...)
}

// encodeRows appends the CopyData with all events, and CopyDone. It returns the tags, each with how far its event is
// from the last one.
func encodeRows(buf []byte, b *batch) ([]byte, []event.Tag, []int64) {
	const copySignature = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // no flags, no extension
	var tags []event.Tag
	var backs []int64
	at := len(buf) + 1 // where the length goes
	buf = append(buf, 'd', 0, 0, 0, 0)
	buf = append(buf, copySignature...)
	left := int64(b.Events)
	next := 0
	for _, r := range b.Requests {
		for i := range r.Commit.Appends {
			part := &r.Commit.Appends[i]
			version := int64(b.parts[next].before)
			next++
			for j := range part.Events {
				e := &part.Events[j]
				version++
				left--
				buf = encodeRow(buf, string(part.Stream), version, e)
				for k, tag := range e.Tags {
					if !slices.Contains(e.Tags[:k], tag) {
						tags, backs = append(tags, tag), append(backs, left)
					}
				}
			}
		}
	}
	buf = append(buf, 0xff, 0xff)
	binary.BigEndian.PutUint32(buf[at:], uint32(len(buf)-at))
	return append(buf, 'c', 0, 0, 0, 4), tags, backs
}

// encodeRow appends one tuple, in the order of sqlAppendCopy.
func encodeRow(buf []byte, stream string, version int64, e *event.Pending) []byte {
	buf = append(buf, 0, 10) // columns
	buf = appendBytes(buf, e.ID[:])
	buf = appendText(buf, stream)
	buf = appendInt64(buf, version)
	buf = appendText(buf, e.Type)
	buf = appendInt32(buf, int32(e.SchemaVersion))
	buf = appendText(buf, e.ContentType)
	buf = appendBytes(buf, e.Data)
	buf = appendMetadata(buf, &e.Metadata)
	buf = appendTagArray(buf, e.Tags)
	return appendInt64(buf, timestamp(e.OccurredAt))
}
