package sqlitestore

import (
	"context"
	"iter"
	"math"

	"zombiezen.com/go/sqlite"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// firstPage and nextPage are how many events a read takes from the file at once. Pages keep its read transactions
// short, so that checkpoints are not held up, and their memory in the processor's cache; the first is small, since many
// a reader wants no more.
const (
	firstPage = 128
	nextPage  = 2048
	pageBytes = 4 << 20 // of data and metadata, which end a page too
	shortRead = 16      // events that a read makes room for before it knows whether there are more
)

// ReadStream implements store.Log.
func (b *Backend) ReadStream(ctx context.Context, r store.StreamRead) iter.Seq2[event.Recorded, error] {
	return b.events(ctx, func() *pager {
		p := &pager{
			backend: b, query: streamQuery(r.Stream, r.Backwards), stream: r.Stream,
			low: int64(r.From), high: math.MaxInt64, left: r.Limit, limited: r.Limit > 0, backwards: r.Backwards,
		}
		if r.Backwards {
			p.low = 0
			if r.From > 0 {
				p.high = int64(r.From)
			}
		}
		return p
	})
}

// ReadLog implements store.Log.
func (b *Backend) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	return b.events(ctx, func() *pager {
		p := &pager{backend: b, left: r.Limit, limited: r.Limit > 0, backwards: r.Backwards}
		p.query, p.composed = logQuery(r)
		p.whole = !p.composed
		low, high := r.From, r.To
		if r.Backwards {
			low, high = r.To, r.From
		}
		if p.low, p.high = int64(low), int64(high); high == 0 {
			p.high = math.MaxInt64
		}
		return p
	})
}

// events yields page after page. The next ones are read while the caller handles the current one, except in a
// transaction, where the caller may be about to use the connection.
func (b *Backend) events(ctx context.Context, start func() *pager) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		p := start()
		current := p.next(ctx)
		if !current.more || b.transaction(ctx) != nil {
			for current.yield(yield) && current.more {
				current = p.next(ctx)
			}
			return
		}
		next, stop := p.ahead(ctx)
		defer stop() // also when the caller panics: the read must be over before the loop is
		for more := true; more && current.yield(yield); {
			current, more = next()
		}
	}
}

// page is a part of a read.
type page struct {
	events []event.Recorded
	more   bool
	err    error
}

// yield hands the page out. It reports whether the caller wants more.
func (p *page) yield(yield func(event.Recorded, error) bool) bool {
	for i := range p.events {
		if !yield(p.events[i], nil) {
			return false
		}
	}
	if p.err != nil {
		yield(event.Recorded{}, p.err)
		return false
	}
	return true
}

// pager walks over the positions, or the versions of one stream, from low to high or back.
type pager struct {
	backend   *Backend
	query     query
	composed  bool
	whole     bool           // the log without a filter: the query has no end of its own
	stream    event.StreamID // "": the log
	low, high int64
	left      int // how many events may still come, if limited
	limited   bool
	backwards bool
	begun     bool
	decoder   decoder
	spare     []event.Recorded // memory of the page before the last one, which nobody looks at any more
}

// next reads a page.
func (p *pager) next(ctx context.Context) page {
	open := p.backend.reader
	if p.composed { // it may pass by any number of events
		open = p.backend.interruptibleReader
	}
	c, release, err := open(ctx)
	if err != nil {
		return page{err: err}
	}
	defer release()
	size := nextPage
	if !p.begun {
		size = firstPage
	}
	if p.limited {
		size = min(size, p.left)
	}
	p.decoder.events, p.spare = p.spare[:0], p.decoder.events
	p.decoder.stream = p.stream
	err = whileBusy(ctx, p.backend.options.BusyTimeout, func() error { return p.rows(c, size) })
	full := err == nil && (len(p.decoder.events) == size || p.decoder.size >= pageBytes)
	if p.left -= len(p.decoder.events); p.limited && p.left == 0 {
		full = false
	}
	if full {
		err = p.advance(c)
	}
	over := p.whole && p.low > p.high
	return page{events: p.decoder.events, more: full && !over && err == nil, err: translate(ctx, err)}
}

func (p *pager) rows(c *conn, size int) error {
	prepare := c.Prepare
	if p.composed {
		prepare = c.compose
	}
	stmt, err := prepare(p.query.sql)
	if err != nil {
		return err
	}
	p.decoder.events, p.decoder.size = p.decoder.events[:0], 0
	room := size
	if !p.begun {
		room = min(size, shortRead)
	}
	if cap(p.decoder.events) < room {
		p.decoder.events = make([]event.Recorded, 0, room)
	}
	p.bind(stmt, size)
	for len(p.decoder.events) < size && p.decoder.size < pageBytes {
		row, err := stmt.Step()
		if err != nil {
			return err
		}
		if !row || p.whole && p.beyond(stmt.ColumnInt64(colPosition)) {
			break
		}
		if err := p.decoder.add(stmt); err != nil {
			_ = stmt.Reset() // the row's error says more
			return err
		}
	}
	return stmt.Reset()
}

// bind sets the parameters of the statement for the next page.
func (p *pager) bind(stmt *sqlite.Stmt, size int) {
	switch {
	case !p.whole:
		p.query.bind(stmt, p.low, p.high, int64(size))
	case p.backwards:
		stmt.BindInt64(1, p.high)
	default:
		stmt.BindInt64(1, p.low)
	}
}

// beyond reports whether a position is behind the end of the read.
func (p *pager) beyond(position int64) bool {
	if p.backwards {
		return position < p.low
	}
	return position > p.high
}

// advance moves on behind the page that was read. After the first one the head is fixed as the end of a read forwards,
// which would else follow a growing log for ever.
func (p *pager) advance(c *conn) error {
	last := &p.decoder.events[len(p.decoder.events)-1]
	place := int64(last.Position)
	if p.stream != "" {
		place = int64(last.Version)
	}
	if p.backwards {
		p.high = place - 1
	} else {
		p.low = place + 1
	}
	if p.begun {
		return nil
	}
	p.begun = true
	if p.backwards {
		return nil
	}
	sql := sqlHead
	if p.stream != "" {
		sql = sqlStreamVersion
	}
	stmt, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	if p.stream != "" {
		stmt.BindText(1, string(p.stream))
	}
	head, err := number(stmt)
	p.high = min(p.high, head)
	return err
}
