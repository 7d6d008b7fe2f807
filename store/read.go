package store

import (
	"context"
	"fmt"
	"iter"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
)

// ReadStream yields the events of one stream; a missing stream yields nothing. An error is the last pair. Breaking out
// of the loop releases everything.
func (s *Store) ReadStream(ctx context.Context, r StreamRead) iter.Seq2[event.Recorded, error] {
	err := s.limits.checkStream(r.Stream)
	if err == nil && (r.From < 0 || r.Limit < 0) {
		err = invalid("version %d, limit %d: must not be negative", r.From, r.Limit)
	}
	return s.read(ctx, "read stream "+abbreviate(string(r.Stream)), r.Stream, err, func() iter.Seq2[event.Recorded, error] {
		return s.backend.ReadStream(ctx, r)
	})
}

// ReadLog yields the events of all streams that pass the filter, in the order of their positions. It ends at the head
// that it saw first.
func (s *Store) ReadLog(ctx context.Context, r LogRead) iter.Seq2[event.Recorded, error] {
	err := r.Filter.validate()
	if err == nil && (r.From < 0 || r.To < 0 || r.Limit < 0) {
		err = invalid("from %d, to %d, limit %d: must not be negative", r.From, r.To, r.Limit)
	}
	return s.read(ctx, "read the log", "", err, func() iter.Seq2[event.Recorded, error] {
		return s.backend.ReadLog(ctx, r)
	})
}

func (s *Store) read(ctx context.Context, what string, stream event.StreamID, invalid error, events func() iter.Seq2[event.Recorded, error]) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		if invalid != nil {
			yield(event.Recorded{}, fmt.Errorf("%s: %w", what, invalid))
			return
		}
		var failure error
		count := 0
		if s.hooks.WatchesReads() {
			start := s.now()
			defer func() {
				s.hooks.Read(ctx, observe.Read{Stream: string(stream), Events: count, Took: time.Since(start), Err: failure})
			}()
		}
		for e, err := range events() {
			if err != nil {
				failure = fmt.Errorf("%s: %w", what, err)
				yield(event.Recorded{}, failure)
				return
			}
			count++
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Head gives the position of the newest event; 0 in an empty log.
func (s *Store) Head(ctx context.Context) (event.Position, error) {
	head, err := s.backend.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the head of the log: %w", err)
	}
	return head, nil
}

// StreamInfo describes a stream; ErrNotFound for one that never was.
func (s *Store) StreamInfo(ctx context.Context, stream event.StreamID) (StreamInfo, error) {
	err := s.limits.checkStream(stream)
	var info StreamInfo
	if err == nil {
		info, err = s.backend.StreamInfo(ctx, stream)
	}
	if err != nil {
		return StreamInfo{}, fmt.Errorf("describe stream %s: %w", abbreviate(string(stream)), err)
	}
	return info, nil
}

// Streams yields the streams in byte order of their names.
func (s *Store) Streams(ctx context.Context, r StreamsRead) iter.Seq2[StreamInfo, error] {
	return func(yield func(StreamInfo, error) bool) {
		var err error
		if r.Category != "" {
			err = Filter{Categories: []string{r.Category}}.validate()
		}
		if err == nil && r.Limit < 0 {
			err = invalid("limit %d: must not be negative", r.Limit)
		}
		if err != nil {
			yield(StreamInfo{}, fmt.Errorf("list streams: %w", err))
			return
		}
		for info, err := range s.backend.Streams(ctx, r) {
			if err != nil {
				yield(StreamInfo{}, fmt.Errorf("list streams: %w", err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}
