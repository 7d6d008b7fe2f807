package memstore

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// pageSize is how many entries a read looks at under the lock before it lets writers in.
const pageSize = 256

// ReadStream implements store.Log.
func (b *Backend) ReadStream(ctx context.Context, r store.StreamRead) iter.Seq2[event.Recorded, error] {
	return b.pages(ctx, r.Limit, func() filler {
		s := b.streams[r.Stream]
		if s == nil {
			return func(page []event.Recorded) ([]event.Recorded, bool) { return page, false }
		}
		c := newCursor(r.From, 0, s.version(), r.Backwards)
		return func(page []event.Recorded) ([]event.Recorded, bool) {
			for ; len(page) < cap(page) && c.more(); c.next += c.step {
				if c.next >= s.first { // else truncated
					page = append(page, b.log.at(s.at(c.next)).recorded(s.at(c.next)))
				}
			}
			return page, c.more()
		}
	})
}

// ReadLog implements store.Log.
func (b *Backend) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	return b.pages(ctx, r.Limit, func() filler {
		c := newCursor(r.From, r.To, b.log.head(), r.Backwards)
		return func(page []event.Recorded) ([]event.Recorded, bool) {
			for looked := 0; looked < pageSize && len(page) < cap(page) && c.more(); looked++ {
				e := b.log.at(c.next)
				if !e.empty() && r.Filter.Matches(e.stream.name, e.kind.name, e.tagged()) {
					page = append(page, e.recorded(c.next))
				}
				c.next += c.step
			}
			return page, c.more()
		}
	})
}

// cursor walks over places from next to last, both inclusive.
type cursor[P ~int64] struct{ next, last, step P }

// newCursor is at the first place to read of 1 to head. from and to bound the walk; 0 is no bound.
func newCursor[P ~int64](from, to, head P, backwards bool) *cursor[P] {
	if backwards {
		if from == 0 || from > head {
			from = head
		}
		return &cursor[P]{next: from, last: max(to, 1), step: -1}
	}
	if to == 0 || to > head {
		to = head
	}
	return &cursor[P]{next: max(from, 1), last: to, step: 1}
}

func (c *cursor[P]) more() bool { return (c.last-c.next)*c.step >= 0 }

// filler adds the next entries to a page, up to its capacity, and reports whether there may be more.
type filler func(page []event.Recorded) ([]event.Recorded, bool)

// pages yields what the filler of begin puts into one page after the other. Both run under the lock.
func (b *Backend) pages(ctx context.Context, limit int, begin func() filler) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		var fill filler
		var page []event.Recorded
		left := limit
		for more := true; more && (limit == 0 || left > 0); left -= len(page) {
			size := pageSize
			if limit > 0 {
				size = min(size, left)
			}
			var err error
			b.mu.RLock()
			if err = b.usable(ctx); err == nil {
				if fill == nil {
					fill, page = begin(), make([]event.Recorded, 0, size)
				}
				page, more = fill(page[:0:size])
			}
			b.mu.RUnlock()
			if err != nil {
				yield(event.Recorded{}, err)
				return
			}
			for i := range page {
				if !yield(own(page[i]), nil) {
					return
				}
			}
		}
	}
}

// own gives an entry whose slices the receiver may change.
func own(e event.Recorded) event.Recorded {
	buf := make([]byte, 0, len(e.Data)+len(e.RawMetadata))
	buf = append(buf, e.Data...)
	buf = append(buf, e.RawMetadata...)
	n := len(e.Data)
	e.Data, e.RawMetadata, e.Tags = buf[:n:n], buf[n:], slices.Clone(e.Tags)
	return e
}

// Head implements store.Log.
func (b *Backend) Head(ctx context.Context) (event.Position, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.log.head(), b.usable(ctx)
}

// StreamInfo implements store.Log.
func (b *Backend) StreamInfo(ctx context.Context, id event.StreamID) (store.StreamInfo, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.usable(ctx); err != nil {
		return store.StreamInfo{}, err
	}
	s := b.streams[id]
	if s == nil {
		return store.StreamInfo{}, store.ErrNotFound
	}
	return b.info(id, s), nil
}

func (b *Backend) info(id event.StreamID, s *stream) store.StreamInfo {
	last := s.at(s.version())
	return store.StreamInfo{
		Stream: id, Version: s.version(), First: s.first, Position: last, Deleted: s.deleted,
		CreatedAt: timeOf(b.log.at(s.at(s.first)).recordedAt), UpdatedAt: timeOf(b.log.at(last).recordedAt),
	}
}

// Streams implements store.Log.
func (b *Backend) Streams(ctx context.Context, r store.StreamsRead) iter.Seq2[store.StreamInfo, error] {
	return func(yield func(store.StreamInfo, error) bool) {
		infos, err := b.list(ctx, r)
		if err != nil {
			yield(store.StreamInfo{}, err)
			return
		}
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (b *Backend) list(ctx context.Context, r store.StreamsRead) ([]store.StreamInfo, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	var infos []store.StreamInfo
	for _, id := range slices.SortedFunc(maps.Keys(b.streams), func(x, y event.StreamID) int {
		return strings.Compare(string(x), string(y))
	}) {
		if id <= r.After || r.Category != "" && id.Category() != r.Category {
			continue
		}
		if r.Limit > 0 && len(infos) == r.Limit {
			break
		}
		infos = append(infos, b.info(id, b.streams[id]))
	}
	return infos, nil
}

// Truncate implements store.Truncator.
func (b *Backend) Truncate(ctx context.Context, id event.StreamID, before event.Version) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	s := b.streams[id]
	if s == nil {
		return 0, store.ErrNotFound
	}
	return b.truncate(id, s, before), nil
}

func (b *Backend) truncate(id event.StreamID, s *stream, before event.Version) int64 {
	n := min(before, s.version()) - s.first // the last event always stays
	if n <= 0 {
		return 0
	}
	for _, p := range s.positions[:n] {
		b.erase(p)
	}
	s.positions = slices.Clone(s.positions[n:])
	s.first += n
	b.countRemoved(id, int64(n))
	return int64(n)
}

// Delete implements store.Truncator.
func (b *Backend) Delete(ctx context.Context, id event.StreamID, expected store.Expected) (store.Result, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return store.Result{}, err
	}
	tombstone := store.Commit{Appends: []store.Append{{Stream: id, Expected: expected, Events: []event.Pending{{
		ID: event.NewID(), Type: event.TombstoneType, SchemaVersion: 1, ContentType: event.JSON,
		Data: bytes.Clone([]byte("{}")), OccurredAt: b.now().UTC().Truncate(time.Microsecond),
	}}}}}
	s := b.streams[id]
	if s == nil && expected.IsAny() {
		return store.Result{}, store.ErrNotFound
	}
	if err := b.check(&tombstone); err != nil {
		return store.Result{}, err
	}
	res := b.write(&tombstone)
	s = b.streams[id]
	s.deleted = true
	b.truncate(id, s, s.version())
	b.wake()
	return res, nil
}
