package redisstore

import (
	"context"
	"errors"
	"slices"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// logPage reads a page of the whole log: plain ranges of the lists that hold it, without a script.
func (b *Backend) logPage(ctx context.Context, s *scan, d *decoder, page []event.Recorded) ([]event.Recorded, bool, error) {
	if s.high == 0 && s.backwards { // where to begin is what the head says
		m, err := b.readMeta(ctx)
		if err != nil || !s.bound(int64(m.head)) {
			return page, false, err
		}
	}
	low, high := s.window()
	head, lists, err := b.lists(ctx, low, high, s.read == 0)
	if err != nil {
		return nil, false, err
	}
	if head >= 0 {
		if !s.bound(head) {
			return page, false, nil
		}
		high = min(high, s.high)
	}
	bytes, at := 0, low
	for _, list := range lists {
		for i := range list {
			bytes += len(list[i])
			if len(list[i]) > 0 && at <= high {
				page = append(page, event.Recorded{})
				if err := d.event(event.Position(at), own(list[i]), &page[len(page)-1]); err != nil {
					return nil, false, err
				}
			}
			at++
		}
	}
	last := high
	if s.backwards {
		slices.Reverse(page)
		last = low
	}
	more := s.done(last)
	if bytes > 0 { // as many as are expected to fit
		s.size = int(min(fullPage, max(16, pageBytes*(high-low+1)/int64(bytes))))
	}
	return page, more, nil
}

// lists reads what the log holds from low to high and, where that is asked for, the head, else -1; all at once, and the
// head first, so that what it says is there.
func (b *Backend) lists(ctx context.Context, low, high int64, withHead bool) (head int64, lists [][]string, err error) {
	head = -1
	var first *redis.StringCmd
	var ranges []*redis.StringSliceCmd
	err = b.during(ctx, func() error {
		_, err := b.reads.Pipelined(ctx, func(p redis.Pipeliner) error {
			if withHead {
				first = p.HGet(ctx, b.keys.meta, "head")
			}
			for at := low; at <= high; {
				n := (at - 1) / pageEvents
				last := min((n+1)*pageEvents, high)
				ranges = append(ranges, p.LRange(ctx, b.keys.page(n), (at-1)%pageEvents, (last-1)%pageEvents))
				at = last + 1
			}
			return nil
		})
		return err
	})
	if errors.Is(err, redis.Nil) { // the head
		err = serverError(errNoStore)
	}
	if err == nil && withHead {
		head, err = first.Int64()
	}
	if err != nil {
		return 0, nil, err
	}
	for _, r := range ranges {
		lists = append(lists, r.Val())
	}
	return head, lists, nil
}

// own gives the bytes of a string that go-redis has made for us alone, so that they may be given away to be changed.
func own(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// window gives the positions of the next page.
func (s *scan) window() (low, high int64) {
	size := int64(s.begin())
	if s.backwards {
		return max(s.low, s.high-size+1), s.high
	}
	high = s.low + size - 1
	if s.high > 0 {
		high = min(high, s.high)
	}
	return s.low, high
}

// streamPage reads a page of one stream.
func (b *Backend) streamPage(ctx context.Context, stream event.StreamID, s *scan, d *decoder, page []event.Recorded) ([]event.Recorded, bool, error) {
	r, err := b.run(ctx, b.reads, &b.scripts.stream, []string{b.keys.stream(stream), b.keys.cut},
		b.keys.pages, string(stream), s.low, s.high, s.begin(), direction(s.backwards), pageBytes)
	if err != nil {
		return nil, false, err
	}
	n := r.array() / 2
	if !s.bound(r.int()) {
		return page, false, r.err
	}
	if page, err = d.pairs(r, n, page); err != nil || len(page) == 0 {
		return page, false, err
	}
	return page, s.done(int64(page[len(page)-1].Version)), nil
}

// pairs decodes n positions with their events.
func (d *decoder) pairs(r *reply, n int, page []event.Recorded) ([]event.Recorded, error) {
	for range n {
		position := event.Position(r.int())
		raw := r.bytes()
		if r.err != nil {
			return nil, r.err
		}
		page = append(page, event.Recorded{})
		if err := d.event(position, raw, &page[len(page)-1]); err != nil {
			return nil, err
		}
	}
	return page, r.err
}

func direction(backwards bool) string {
	if backwards {
		return "1"
	}
	return "0"
}

// selection reads the log along indexes.
type selection struct {
	*Backend
	keys []string
	plan []byte
}

// selection finds the indexes that a filter can be read along: those of its streams, those of its categories, or those
// that its query names; the script takes the shortest. What they name is a superset of what the filter selects.
func (b *Backend) selection(f store.Filter) *selection {
	s := &selection{Backend: b, keys: []string{b.keys.meta}}
	place := func(key string) int64 {
		s.keys = append(s.keys, key)
		return int64(len(s.keys))
	}
	var alternatives [][][]int64
	var streams, categories, items [][]int64
	for _, id := range f.Streams {
		streams = append(streams, []int64{place(b.keys.stream(id))})
	}
	for _, c := range f.Categories {
		categories = append(categories, []int64{place(b.keys.categories + c)})
	}
	for _, item := range f.Query {
		var tags []int64
		for _, t := range item.Tags {
			tags = append(tags, place(b.keys.tags+string(t)))
		}
		if len(tags) > 0 {
			items = append(items, tags)
			continue
		}
		for _, t := range item.Types {
			items = append(items, []int64{place(b.keys.types + t)})
		}
	}
	for _, a := range [][][]int64{streams, categories, items} {
		if len(a) > 0 {
			alternatives = append(alternatives, a)
		}
	}
	s.plan = packArray(s.plan, len(alternatives))
	for _, sources := range alternatives {
		s.plan = packArray(s.plan, len(sources))
		for _, source := range sources {
			s.plan = packArray(s.plan, len(source))
			for _, k := range source {
				s.plan = packInt(s.plan, k)
			}
		}
	}
	return s
}

// page reads a page of what the indexes name.
func (f *selection) page(ctx context.Context, s *scan, d *decoder, page []event.Recorded) ([]event.Recorded, bool, error) {
	r, err := f.run(ctx, f.reads, &f.scripts.selecting, f.keys,
		f.Backend.keys.pages, s.low, s.high, s.begin(), direction(s.backwards), pageBytes, f.plan)
	if err != nil {
		return nil, false, err
	}
	n := r.array()
	head, last := r.int(), r.int()
	some := s.bound(head)
	if page, err = d.pairs(r, (n-2)/2, page); err != nil || !some || last == 0 {
		return page, false, err
	}
	return page, s.done(last), nil
}
