package pgstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// outcome is what a batch met on the server, in terms of its parts and members, counted from 0.
type outcome struct {
	head    event.Position         // before the batch
	found   map[int]int64          // versions of the streams of parts: all, or the unexpected ones; negative: ended by a tombstone
	refused []int                  // members of which nothing was stored
	reused  []int                  // of them those whose ids are (partly) stored
	broken  map[int]event.Position // of them those whose condition is broken, and by what
}

// readMany reads the row of append_many.
func readMany(rows [][][]byte) (outcome, error) {
	if len(rows) != 1 || len(rows[0]) != 6 || len(rows[0][0]) != 8 {
		return outcome{}, errors.New("append_many returned something else than one row of 6 columns")
	}
	row := rows[0]
	found, err1 := int64s(row[1])
	refused, err2 := int32s(row[2])
	reused, err3 := int32s(row[3])
	broken, err4 := int32s(row[4])
	matched, err5 := int64s(row[5])
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			return outcome{}, err
		}
	}
	o := outcome{head: event.Position(binary.BigEndian.Uint64(row[0])), found: make(map[int]int64, len(found)), broken: map[int]event.Position{}}
	for i, v := range found {
		o.found[i] = v
	}
	for _, r := range refused {
		o.refused = append(o.refused, int(r)-1)
	}
	for _, r := range reused {
		o.reused = append(o.reused, int(r)-1)
	}
	for i, r := range broken {
		o.broken[int(r)-1] = event.Position(matched[i])
	}
	return o, nil
}

// readConflict reads the detail of append_begin's error.
func readConflict(b *batch, detail string) (outcome, error) {
	o := outcome{found: map[int]int64{}, broken: map[int]event.Position{}}
	for entry := range strings.SplitSeq(detail, ",") {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || len(name) < 2 {
			return o, fmt.Errorf("malformed conflict detail %q", detail)
		}
		number, err1 := strconv.Atoi(name[1:])
		v, err2 := strconv.ParseInt(value, 10, 64)
		switch {
		case err1 != nil || err2 != nil:
			return o, fmt.Errorf("malformed conflict detail %q", detail)
		case name[0] == 'p' && number >= 1 && number <= len(b.checked):
			o.found[int(b.checked[number-1])] = v
		case name[0] == 'c' && number >= 1 && number <= len(b.members):
			o.broken[number-1] = event.Position(v)
		default:
			return o, fmt.Errorf("conflict detail %q names what was not asked", detail)
		}
	}
	return o, nil
}

// readOnes reads the rows of append_one, one for each member.
func readOnes(rows [][][]byte) (outcome, error) {
	o := outcome{found: make(map[int]int64, len(rows))}
	for i, row := range rows {
		if len(row) != 1 {
			return outcome{}, fmt.Errorf("append_one returned %d columns", len(row))
		}
		pair, err := int64s(row[0])
		if err != nil || len(pair) != 2 {
			return outcome{}, errArray
		}
		position, version := pair[0], pair[1]
		switch position {
		case -1:
			o.found[i], o.refused = -version, append(o.refused, i)
		case 0:
			o.found[i], o.refused = version, append(o.refused, i)
		default:
			if o.head == 0 {
				o.head = event.Position(position) - 1 - event.Position(i-len(o.refused))
			}
			o.found[i] = version - 1
		}
	}
	return o, nil
}

// complaint is why a member is refused for good: nil where its expectations hold, so that it only suffered from its
// neighbours or from a wrong guess. What was found is noted in the parts.
func (p *plan) complaint(i int, o *outcome) error {
	m := &p.members[i]
	for j := m.first; j < m.first+m.length; j++ {
		found, known := o.found[j]
		if !known {
			continue
		}
		if found < 0 {
			return &store.StreamDeletedError{Stream: p.parts[j].stream}
		}
		if expected := p.parts[j].expected; !expected.Allows(event.Version(found)) {
			return &store.ConflictError{Stream: p.parts[j].stream, Expected: expected, Actual: event.Version(found)}
		}
	}
	if at, broken := o.broken[i]; broken {
		return &store.ConflictError{Matched: at, After: m.after}
	}
	return nil
}

// settle chains the versions of the accepted parts: those of one stream follow each other.
func (p *plan) settle(o *outcome) {
	next := make(map[event.StreamID]event.Version, len(p.parts))
	for i := range p.members {
		if slices.Contains(o.refused, i) {
			continue
		}
		m := &p.members[i]
		for j := m.first; j < m.first+m.length; j++ {
			a := &p.parts[j]
			before, chained := next[a.stream]
			if !chained {
				before = event.Version(o.found[j])
			}
			a.before = before
			next[a.stream] = before + event.Version(a.events)
		}
	}
}

// asServerError gives the server's error in err; nil where there is none.
func asServerError(err error) *pgconn.PgError {
	var pgErr *pgconn.PgError
	errors.As(err, &pgErr)
	return pgErr
}
