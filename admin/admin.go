package admin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Admin does an operator's work on one store. It is safe for concurrent use.
type Admin struct{ store *store.Store }

// New gives an Admin over a store. It does no I/O and does not own the store.
func New(s *store.Store) *Admin { return &Admin{store: s} }

// Info describes a store and what it holds.
type Info struct {
	store.Description
	Streams     int             `json:"streams"`
	MoreStreams bool            `json:"more_streams,omitempty"` // there are more than Streams; counting stopped
	Oldest      *event.Recorded `json:"-"`                      // the first event still there; nil in an empty store
	Newest      *event.Recorded `json:"-"`
}

// maxCountedStreams bounds the work of Info.
const maxCountedStreams = 100_000

// Info describes the store. It counts up to 100,000 streams.
func (a *Admin) Info(ctx context.Context) (Info, error) {
	description, err := a.store.Describe(ctx)
	if err != nil {
		return Info{}, err
	}
	info := Info{Description: description}
	for _, err := range a.store.Streams(ctx, store.StreamsRead{Limit: maxCountedStreams + 1}) {
		if err != nil {
			return Info{}, err
		}
		info.Streams++
	}
	if info.Streams > maxCountedStreams {
		info.Streams, info.MoreStreams = maxCountedStreams, true
	}
	if info.Oldest, err = first(a.store.ReadLog(ctx, store.LogRead{Limit: 1})); err != nil {
		return Info{}, err
	}
	info.Newest, err = first(a.store.ReadLog(ctx, store.LogRead{Limit: 1, Backwards: true}))
	return info, err
}

// Streams yields the streams in byte order of their names.
func (a *Admin) Streams(ctx context.Context, r store.StreamsRead) iter.Seq2[store.StreamInfo, error] {
	return a.store.Streams(ctx, r)
}

// ReadStream yields the events of one stream. Unlike the store it gives store.ErrNotFound for a stream that never was,
// since an operator who mistypes a name wants to know.
func (a *Admin) ReadStream(ctx context.Context, r store.StreamRead) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		found := false
		for e, err := range a.store.ReadStream(ctx, r) {
			found = true
			if !yield(e, err) {
				return
			}
		}
		if found {
			return
		}
		if _, err := a.store.StreamInfo(ctx, r.Stream); errors.Is(err, store.ErrNotFound) {
			yield(event.Recorded{}, fmt.Errorf("read stream %s: %w: no event was ever appended to it", r.Stream, store.ErrNotFound))
		} else if err != nil {
			yield(event.Recorded{}, err)
		}
	}
}

func first(events iter.Seq2[event.Recorded, error]) (*event.Recorded, error) {
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		return &e, nil
	}
	return nil, nil
}

// last gives the newest n events that pass the filter up to position to, oldest first.
func (a *Admin) last(ctx context.Context, n int, to event.Position, filter store.Filter) ([]event.Recorded, error) {
	var events []event.Recorded
	for e, err := range a.store.ReadLog(ctx, store.LogRead{From: to, Limit: n, Backwards: true, Filter: filter}) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	slices.Reverse(events)
	return events, nil
}
