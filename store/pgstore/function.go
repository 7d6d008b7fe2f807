package pgstore

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// oneParameters are the parameters of append_one.
func oneParameters(a *store.Append) [][]byte {
	e := &a.Events[0]
	number := func(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
	var tags []byte
	if len(e.Tags) > 0 {
		tags = textArray(e.Tags)
	}
	return [][]byte{
		e.ID[:], []byte(a.Stream), number(expectation(a.Expected)), []byte(e.Type), number(int64(e.SchemaVersion))[4:],
		[]byte(e.ContentType), notNil(e.Data), e.Metadata.AppendJSON(nil), tags, number(timestamp(e.OccurredAt)),
	}
}

// notNil keeps empty data from becoming a null.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// appendColumn appends what one event has in the array parameter i of append_many, counted from ids.
func appendColumn(b []byte, i int, e *event.Pending) []byte {
	switch i {
	case 0:
		return appendBytes(b, e.ID[:])
	case 1:
		return appendText(b, e.Type)
	case 2:
		return appendInt32(b, int32(e.SchemaVersion))
	case 3:
		return appendText(b, e.ContentType)
	case 4:
		return appendBytes(b, e.Data)
	case 5:
		return appendMetadata(b, &e.Metadata)
	case 6:
		if len(e.Tags) == 0 {
			return appendNull(b)
		}
		return appendText(b, arrayLiteral(e.Tags))
	default:
		return appendInt64(b, timestamp(e.OccurredAt))
	}
}

// manyParameters are the parameters of append_many.
func manyParameters(commits []store.Commit) [][]byte {
	var (
		requests, eventParts  []int32
		streams, eventStreams []event.StreamID
		expected              []int64
		events                []*event.Pending
	)
	for i := range commits {
		for j := range commits[i].Appends {
			a := &commits[i].Appends[j]
			requests, streams, expected = append(requests, int32(i+1)), append(streams, a.Stream), append(expected, expectation(a.Expected))
			for k := range a.Events {
				events = append(events, &a.Events[k])
				eventParts, eventStreams = append(eventParts, int32(len(requests))), append(eventStreams, a.Stream)
			}
		}
	}
	parameters := [][]byte{
		int32Array(requests), textArray(streams), int64Array(expected), conditions(commits),
		int32Array(eventParts), textArray(eventStreams),
	}
	for i, oid := range [...]uint32{
		pgtype.UUIDOID, pgtype.TextOID, pgtype.Int4OID, pgtype.TextOID, pgtype.ByteaOID, pgtype.ByteaOID, pgtype.TextOID, pgtype.TimestamptzOID,
	} {
		b := appendArray(nil, oid, len(events))
		for _, e := range events {
			b = appendColumn(b, i, e)
		}
		parameters = append(parameters, b)
	}
	return parameters
}

// callMany runs append_many, unprepared, on a connection that is in a READ COMMITTED transaction.
func (b *Backend) callMany(ctx context.Context, conn *pgx.Conn, parameters [][]byte) (outcome, error) {
	types := []uint32{
		pgtype.Int4ArrayOID, pgtype.TextArrayOID, pgtype.Int8ArrayOID, pgtype.JSONBOID, pgtype.Int4ArrayOID, pgtype.TextArrayOID,
		pgtype.UUIDArrayOID, pgtype.TextArrayOID, pgtype.Int4ArrayOID, pgtype.TextArrayOID,
		pgtype.ByteaArrayOID, pgtype.ByteaArrayOID, pgtype.TextArrayOID, pgtype.TimestamptzArrayOID,
	}
	binaryFormat := []int16{pgtype.BinaryFormatCode} // of all
	result := conn.PgConn().ExecParams(ctx, b.sql.in(sqlAppendMany), parameters, types, binaryFormat, binaryFormat).Read()
	if result.Err != nil {
		return outcome{}, result.Err
	}
	return readMany(result.Rows)
}

// appendAlone appends one commit on a connection that is in a READ COMMITTED transaction. A refusal leaves the
// transaction usable.
func (b *Backend) appendAlone(ctx context.Context, conn *pgx.Conn, c store.Commit) (store.Result, error) {
	p := planOf([]store.Commit{c})
	o, err := b.callMany(ctx, conn, manyParameters([]store.Commit{c}))
	if err != nil {
		return store.Result{}, err
	}
	if len(o.refused) == 0 {
		p.settle(&o)
		return p.result(0, o.head+event.Position(p.members[0].events)), nil
	}
	if len(o.reused) > 0 {
		found, err := b.byID(ctx, conn, []store.Commit{c})
		if err != nil {
			return store.Result{}, err
		}
		if first, ok, err := store.FirstResult(c, found); ok || err != nil {
			return first, err
		}
	}
	return store.Result{}, p.complaint(0, &o)
}
