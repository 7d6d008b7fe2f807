package pgstore

import (
	"context"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Sizes of pages: the first is small, since many reads are short, and the server's work for a page that is not read to
// its end is lost.
const (
	firstPage = 500
	fullPage  = 4000
)

// ReadStream implements store.Log.
func (b *Backend) ReadStream(ctx context.Context, r store.StreamRead) iter.Seq2[event.Recorded, error] {
	s := scan{
		sql: sqlStreamForwards, args: []any{string(r.Stream)},
		from: max(int64(r.From), 1), to: math.MaxInt64, limit: r.Limit,
		place: func(e *event.Recorded) int64 { return int64(e.Version) },
		head:  sqlStreamVersion, headArgs: []any{string(r.Stream)},
	}
	if r.Backwards {
		s.sql, s.backwards, s.from = sqlStreamBackwards, true, 1
		if r.From > 0 {
			s.to = int64(r.From)
		}
	}
	return b.events(ctx, s)
}

// ReadLog implements store.Log.
func (b *Backend) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	s := scan{
		from: max(int64(r.From), 1), to: int64(r.To), limit: r.Limit, backwards: r.Backwards,
		place: func(e *event.Recorded) int64 { return int64(e.Position) },
		head:  sqlHead,
	}
	if r.Backwards {
		s.from, s.to = max(int64(r.To), 1), int64(r.From)
	}
	if s.to == 0 {
		s.to = math.MaxInt64
	}
	s.sql, s.args = logQuery(r.Filter, r.Backwards)
	return b.events(ctx, s)
}

// scan is a read in progress: the places from from to to are still to come, in the order that backwards says.
type scan struct {
	sql       string // takes from, to, size of the page, args…
	args      []any
	from, to  int64
	limit     int // 0: none
	backwards bool
	place     func(e *event.Recorded) int64
	head      string // statement that gives the last place there is
	headArgs  []any
	read      int  // events so far
	bounded   bool // to is at most the head as it was when reading began
}

// size is how large the next page should be.
func (s *scan) size() int {
	size := fullPage
	if s.read == 0 {
		size = firstPage
	}
	if s.limit > 0 {
		size = min(size, s.limit-s.read)
	}
	return size
}

// advance moves past a page and reports whether there may be another one.
func (s *scan) advance(page []event.Recorded, size int) bool {
	s.read += len(page)
	if len(page) < size || s.limit > 0 && s.read >= s.limit {
		return false
	}
	last := s.place(&page[len(page)-1])
	if s.backwards {
		s.to = last - 1
	} else {
		s.from = last + 1
	}
	return s.from <= s.to
}

// next reads a page into the given one. The first page that is full also finds out where the read has to end, before anybody has seen an
// event of it: what comes later is not of this read.
func (s *scan) next(ctx context.Context, b *Backend, d *decoder, into []event.Recorded) (page []event.Recorded, more bool, err error) {
	err = b.withConn(ctx, func(conn *pgx.Conn) error {
		size := s.size()
		page, err = d.page(ctx, conn, into, b.sql.in(s.sql), append([]any{s.from, s.to, size}, s.args...)...)
		if err != nil {
			return err
		}
		if more = s.advance(page, size); !more || s.bounded || s.backwards {
			return nil
		}
		s.bounded = true
		var head int64
		if err := conn.QueryRow(ctx, b.sql.in(s.head), s.headArgs...).Scan(&head); err != nil {
			return err
		}
		s.to = min(s.to, head)
		more = s.from <= s.to
		return nil
	})
	return page, more, b.explain(ctx, err)
}

// events yields the events of a scan, page by page. No connection is held while the loop's body runs, so it may call
// the store again, also with a pool of one connection.
func (b *Backend) events(ctx context.Context, s scan) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		if err := b.usable(ctx); err != nil {
			yield(event.Recorded{}, err)
			return
		}
		s := s // the sequence may be used again
		d := newDecoder()
		var spare []event.Recorded // the page before: its entries were given out by value, so it can be filled again
		page, more, err := s.next(ctx, b, d, nil)
		for err == nil {
			follow := b.ahead(ctx, &s, d, more, spare[:0])
			for i := range page {
				if !yield(page[i], nil) {
					follow.stop()
					return
				}
			}
			if !more {
				return
			}
			spare = page
			page, more, err = follow.wait(ctx)
		}
		yield(event.Recorded{}, err)
	}
}
