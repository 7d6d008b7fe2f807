package memstore

import (
	"bytes"
	"context"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Append implements store.Log: check everything, then write everything, under one lock.
func (b *Backend) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return store.Result{}, err
	}
	if duplicate, ok, err := b.first(c); ok || err != nil {
		return duplicate, err
	}
	if err := b.check(c); err != nil {
		return store.Result{}, err
	}
	res := b.write(c)
	b.wake()
	return res, nil
}

// first finds out whether the commit was stored before.
func (b *Backend) first(c store.Commit) (store.Result, bool, error) {
	var found []event.Recorded
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			id := &c.Appends[i].Events[j].ID
			if bytes.Compare(id[:], b.greatestID[:]) > 0 {
				continue // as nearly always: ids are made in ascending order
			}
			if p, stored := b.ids[*id]; stored {
				found = append(found, *b.log.at(p))
			}
		}
	}
	if found == nil {
		return store.Result{}, false, nil
	}
	return store.FirstResult(c, found)
}

func (b *Backend) check(c store.Commit) error {
	for i := range c.Appends {
		part := &c.Appends[i]
		s := b.streams[part.Stream]
		if s != nil && s.deleted {
			return &store.StreamDeletedError{Stream: part.Stream}
		}
		if actual := s.version(); !part.Expected.Allows(actual) {
			return &store.ConflictError{Stream: part.Stream, Expected: part.Expected, Actual: actual}
		}
	}
	if c.Condition == nil {
		return nil
	}
	for p := b.log.head(); p > c.Condition.After; p-- {
		e := b.log.at(p)
		if !e.ID.IsZero() && c.Condition.Query.Matches(e.Type, e.Tags) {
			return &store.ConflictError{Matched: p, After: c.Condition.After}
		}
	}
	return nil
}

func (b *Backend) write(c store.Commit) store.Result {
	var metadata [512]byte
	res := store.Result{First: b.log.head() + 1, Versions: make([]event.Version, len(c.Appends))}
	now := b.now().UTC().Truncate(time.Microsecond)
	for i := range c.Appends {
		part := &c.Appends[i]
		s := b.streams[part.Stream]
		if s == nil {
			s = &stream{first: 1}
			b.streams[part.Stream] = s
		}
		for j := range part.Events {
			e := &part.Events[j]
			position := b.log.head() + 1
			s.positions = append(s.positions, position)
			b.ids[e.ID] = position
			if bytes.Compare(e.ID[:], b.greatestID[:]) > 0 {
				b.greatestID = e.ID
			}
			b.log.add(event.Recorded{
				ID: e.ID, Stream: part.Stream, Version: s.version(), Position: position,
				Type: e.Type, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType,
				Data: b.log.keep(e.Data), RawMetadata: b.log.keep(e.Metadata.AppendJSON(metadata[:0])), Tags: slices.Clone(e.Tags),
				OccurredAt: e.OccurredAt, RecordedAt: now,
			})
		}
		res.Versions[i] = s.version()
	}
	res.Last = b.log.head()
	return res
}
