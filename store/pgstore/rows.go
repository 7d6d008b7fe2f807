package pgstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// decoder turns rows of eventColumns into events. The bytes of a page's events lie in few large blocks, each slice
// capped to its own part; strings that come again and again are shared.
type decoder struct {
	block []byte
	known map[string]string
}

const (
	firstBlock   = 2 << 10
	blockBytes   = 64 << 10
	knownStrings = 4096
)

func newDecoder() *decoder { return &decoder{known: map[string]string{}} }

// row decodes one row; values are valid only during the call.
func (d *decoder) row(values [][]byte, e *event.Recorded) error {
	if len(values) != 12 || len(values[0]) != 8 || len(values[1]) != 16 || len(values[3]) != 8 || len(values[5]) != 4 ||
		len(values[10]) != 8 || len(values[11]) != 8 {
		return &kindError{kind: store.ErrCorrupt, err: fmt.Errorf("a row of events does not have the columns of an event in binary form")}
	}
	e.Position = event.Position(binary.BigEndian.Uint64(values[0]))
	e.ID = event.ID(values[1])
	e.Stream = event.StreamID(d.string(values[2]))
	e.Version = event.Version(binary.BigEndian.Uint64(values[3]))
	e.Type = d.string(values[4])
	e.SchemaVersion = int(int32(binary.BigEndian.Uint32(values[5])))
	e.ContentType = d.string(values[6])
	e.Data = d.keep(values[7])
	e.RawMetadata = d.keep(values[8])
	e.OccurredAt = timeOf(values[10])
	e.RecordedAt = timeOf(values[11])
	if values[9] == nil {
		return nil
	}
	return elements(values[9], func(tag []byte) { e.Tags = append(e.Tags, event.Tag(d.string(tag))) })
}

// keep copies bytes into the block.
func (d *decoder) keep(raw []byte) []byte {
	if len(raw) > cap(d.block)-len(d.block) {
		// Blocks grow, so that a read of few events does not pay for one of many.
		d.block = make([]byte, 0, max(len(raw), min(2*cap(d.block), blockBytes), firstBlock))
	}
	start := len(d.block)
	d.block = append(d.block, raw...)
	return d.block[start:len(d.block):len(d.block)]
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

// page reads events into a page.
func (d *decoder) page(ctx context.Context, conn *pgx.Conn, page []event.Recorded, sql string, args ...any) ([]event.Recorded, error) {
	err := binaryRows(ctx, conn, sql, args, func(values [][]byte) error {
		page = append(page, event.Recorded{})
		return d.row(values, &page[len(page)-1])
	})
	return page, err
}

// binaryRows calls each with the values of every row in binary form.
func binaryRows(ctx context.Context, conn *pgx.Conn, sql string, args []any, each func(values [][]byte) error) error {
	switch conn.Config().DefaultQueryExecMode {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol: // they give texts
		return unpreparedRows(ctx, conn, sql, args, each)
	}
	rows, err := conn.Query(ctx, sql, append([]any{pgx.QueryResultFormats{pgtype.BinaryFormatCode}}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.RawValues()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// unpreparedRows is for poolers that cannot keep prepared statements: one round trip, nothing named.
func unpreparedRows(ctx context.Context, conn *pgx.Conn, sql string, args []any, each func(values [][]byte) error) error {
	values, types, formats := make([][]byte, len(args)), make([]uint32, len(args)), make([]int16, len(args))
	for i, arg := range args {
		switch arg.(type) {
		case int, int64:
			types[i] = pgtype.Int8OID
		case string:
			types[i] = pgtype.TextOID
		case []string:
			types[i] = pgtype.TextArrayOID
		case [][16]byte:
			types[i] = pgtype.UUIDArrayOID
		}
		var err error
		if values[i], err = conn.TypeMap().Encode(types[i], pgtype.BinaryFormatCode, arg, nil); err != nil {
			return err
		}
		formats[i] = pgtype.BinaryFormatCode
	}
	result := conn.PgConn().ExecParams(ctx, sql, values, types, formats, []int16{pgtype.BinaryFormatCode})
	var failure error
	for failure == nil && result.NextRow() {
		failure = each(result.Values())
	}
	_, err := result.Close()
	return cmp.Or(failure, err)
}

// byID finds the stored events that have an id of one of the commits.
func (b *Backend) byID(ctx context.Context, conn *pgx.Conn, commits []store.Commit) ([]event.Recorded, error) {
	var ids [][16]byte
	for i := range commits {
		for j := range commits[i].Appends {
			for k := range commits[i].Appends[j].Events {
				ids = append(ids, commits[i].Appends[j].Events[k].ID)
			}
		}
	}
	return newDecoder().page(ctx, conn, nil, b.sql.in(sqlByID), ids)
}
