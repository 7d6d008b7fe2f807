package redisstore

import (
	"context"
	"iter"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Sizes of pages: the first is small, since many reads are short. A page of large events is cut short: by the scripts,
// and in a plain read of the log by asking for fewer events once their size is seen.
const (
	firstPage = 256
	fullPage  = 2048
	pageBytes = 4 << 20
)

// scan is a read in progress: the places (versions or positions) from low to high are still to come, in the order that
// backwards says.
type scan struct {
	low, high int64 // high 0: the last there is, as it is found by the first page
	limit     int   // 0: none
	backwards bool
	read      int // events so far
	size      int // of the next page
	selects   func(e *event.Recorded) bool
	fetch     func(ctx context.Context, s *scan, d *decoder, into []event.Recorded) (page []event.Recorded, more bool, err error)
}

// ReadStream implements store.Log.
func (b *Backend) ReadStream(ctx context.Context, r store.StreamRead) iter.Seq2[event.Recorded, error] {
	s := scan{low: max(int64(r.From), 1), limit: r.Limit, backwards: r.Backwards}
	if r.Backwards {
		s.low, s.high = 1, int64(r.From)
	}
	s.fetch = func(ctx context.Context, s *scan, d *decoder, into []event.Recorded) ([]event.Recorded, bool, error) {
		return b.streamPage(ctx, r.Stream, s, d, into)
	}
	return b.events(ctx, s)
}

// ReadLog implements store.Log.
func (b *Backend) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	s := scan{low: max(int64(r.From), 1), high: int64(r.To), limit: r.Limit, backwards: r.Backwards}
	if r.Backwards {
		s.low, s.high = max(int64(r.To), 1), int64(r.From)
	}
	s.fetch = b.logPage
	if !r.Filter.IsZero() {
		s.selects = func(e *event.Recorded) bool { return r.Filter.Matches(e.Stream, e.Type, e.Tags) }
		s.fetch = b.selection(r.Filter).page
	}
	return b.events(ctx, s)
}

// next reads pages until one has something for the reader.
func (s *scan) next(ctx context.Context, b *Backend, d *decoder, into []event.Recorded) (page []event.Recorded, more bool, err error) {
	for {
		if err = b.usable(ctx); err != nil {
			return nil, false, err
		}
		page, more, err = s.fetch(ctx, s, d, into[:0])
		if err != nil {
			return nil, false, b.explain(ctx, err)
		}
		if s.selects != nil {
			kept := page[:0]
			for i := range page {
				if s.selects(&page[i]) {
					kept = append(kept, page[i])
				}
			}
			page = kept
		}
		if s.limit > 0 && s.read+len(page) >= s.limit {
			page, more = page[:s.limit-s.read], false
		}
		s.read += len(page)
		if len(page) > 0 || !more {
			return page, more, nil
		}
		into = page
	}
}

// begin gives the size of a page.
func (s *scan) begin() int {
	if s.size == 0 {
		s.size = firstPage
	}
	size := s.size
	if s.limit > 0 && s.selects == nil {
		size = min(size, s.limit-s.read)
	}
	return size
}

// done moves past what a page has looked at, up to and with last, and reports whether anything is left.
func (s *scan) done(last int64) (more bool) {
	s.size = fullPage
	if s.backwards {
		s.high = last - 1
	} else {
		s.low = last + 1
	}
	return s.low <= s.high
}

// bound sets the end of the read where it was open, and cuts it where it is beyond the end. It reports whether there is
// anything to read.
func (s *scan) bound(end int64) bool {
	if s.high == 0 || s.high > end {
		s.high = end
	}
	return s.low <= s.high
}

// events yields the events of a scan, page by page, the next one being read while this one is handled.
func (b *Backend) events(ctx context.Context, s scan) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		s := s // the sequence may be used again
		d := newDecoder()
		var spare []event.Recorded // the page before: its entries were given out by value, so it can be filled again
		page, more, err := s.next(ctx, b, d, nil)
		for err == nil {
			var follow *ahead
			if more {
				follow = b.ahead(ctx, &s, d, spare)
			}
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
			page, more, err = follow.wait()
		}
		yield(event.Recorded{}, err)
	}
}

// ahead reads the next page while the present one is handled. The reader of the sequence owns it: it calls wait or stop.
type ahead struct {
	cancel context.CancelFunc
	result chan followed
}

// followed is a page that was read ahead.
type followed struct {
	page []event.Recorded
	more bool
	err  error
}

func (b *Backend) ahead(ctx context.Context, s *scan, d *decoder, into []event.Recorded) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{cancel: cancel, result: make(chan followed, 1)}
	go func() {
		var f followed
		f.page, f.more, f.err = s.next(ctx, b, d, into)
		a.result <- f
	}()
	return a
}

func (a *ahead) wait() ([]event.Recorded, bool, error) {
	f := <-a.result
	a.cancel()
	return f.page, f.more, f.err
}

// stop ends the reading and waits for its end; of nil it does nothing.
func (a *ahead) stop() {
	if a != nil {
		a.cancel()
		<-a.result
	}
}
