package redisstore

import (
	"context"
	"iter"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// listPage is the number of streams or records in one page.
const listPage = 500

// StreamInfo implements store.Log.
func (b *Backend) StreamInfo(ctx context.Context, stream event.StreamID) (store.StreamInfo, error) {
	if err := b.usable(ctx); err != nil {
		return store.StreamInfo{}, err
	}
	infos, err := b.describe(ctx, "["+string(stream), "["+string(stream), 1)
	if err == nil && len(infos) == 0 {
		return store.StreamInfo{}, store.ErrNotFound
	}
	if err != nil {
		return store.StreamInfo{}, b.explain(ctx, err)
	}
	return infos[0], nil
}

// Streams implements store.Log.
func (b *Backend) Streams(ctx context.Context, r store.StreamsRead) iter.Seq2[store.StreamInfo, error] {
	return func(yield func(store.StreamInfo, error) bool) {
		start, end := "-", "+"
		if r.Category != "" {
			start, end = "["+r.Category+"-", "("+r.Category+"." // "." is the byte after "-"
		}
		if after := string(r.After); after != "" && (r.Category == "" || after >= r.Category+"-") {
			start = "(" + after
		}
		for read := 0; r.Limit == 0 || read < r.Limit; {
			size := listPage
			if r.Limit > 0 {
				size = min(size, r.Limit-read)
			}
			err := b.usable(ctx)
			var infos []store.StreamInfo
			if err == nil {
				infos, err = b.describe(ctx, start, end, size)
			}
			if err != nil {
				yield(store.StreamInfo{}, b.explain(ctx, err))
				return
			}
			for i := range infos {
				if !yield(infos[i], nil) {
					return
				}
			}
			if len(infos) < size {
				return
			}
			read += len(infos)
			start = "(" + string(infos[len(infos)-1].Stream)
		}
	}
}

// describe gives the streams whose names are in a range.
func (b *Backend) describe(ctx context.Context, start, end string, size int) ([]store.StreamInfo, error) {
	r, err := b.run(ctx, b.reads, &b.scripts.streams, []string{b.keys.names, b.keys.cut}, b.keys.pages, b.keys.streams, start, end, size)
	if err != nil {
		return nil, err
	}
	n := r.array() / 6
	if r.err != nil {
		return nil, r.err
	}
	infos := make([]store.StreamInfo, n)
	for i := range infos {
		info := &infos[i]
		info.Stream = event.StreamID(r.bytes())
		first, length := r.int(), r.int()
		info.Position = event.Position(r.int())
		oldest, last := r.bytes(), r.bytes()
		if r.err != nil {
			return nil, r.err
		}
		if len(oldest) != stampBytes || len(last) != stampBytes {
			return nil, corrupt("stream %s: its events are missing", info.Stream)
		}
		if info.Deleted = first < 0; info.Deleted {
			first = -first
		}
		info.First = event.Version(first)
		info.Version = event.Version(first + length - 1)
		info.CreatedAt, info.UpdatedAt = timeOf(oldest[8:]), timeOf(last[8:])
	}
	return infos, nil
}
