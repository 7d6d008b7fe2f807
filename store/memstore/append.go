package memstore

import (
	"context"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Append implements store.Log: check everything, then write everything, under one lock.
func (b *Backend) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	data := encode(c) // copying the caller's bytes needs no lock
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
	res := b.write(c, data)
	b.wake()
	return res, nil
}

// first finds out whether the commit was stored before.
func (b *Backend) first(c store.Commit) (store.Result, bool, error) {
	var found []event.Recorded
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			if p, stored := b.ids[c.Appends[i].Events[j].ID]; stored {
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

// encoded is the bytes of one event, owned by the log.
type encoded struct {
	data, metadata []byte
	tags           []event.Tag
}

func encode(c store.Commit) []encoded {
	total := 0
	for i := range c.Appends {
		total += len(c.Appends[i].Events)
	}
	all := make([]encoded, 0, total)
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			e := &c.Appends[i].Events[j]
			buf := make([]byte, 0, len(e.Data)+64)
			buf = append(buf, e.Data...)
			buf = e.Metadata.AppendJSON(buf)
			n := len(e.Data)
			all = append(all, encoded{data: buf[:n:n], metadata: buf[n:], tags: slices.Clone(e.Tags)})
		}
	}
	return all
}

func (b *Backend) write(c store.Commit, data []encoded) store.Result {
	res := store.Result{First: b.log.head() + 1, Versions: make([]event.Version, len(c.Appends))}
	now := b.now().UTC().Truncate(time.Microsecond)
	next := 0
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
			b.log.add(event.Recorded{
				ID: e.ID, Stream: part.Stream, Version: s.version(), Position: position,
				Type: e.Type, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType,
				Data: data[next].data, RawMetadata: data[next].metadata, Tags: data[next].tags,
				OccurredAt: e.OccurredAt, RecordedAt: now,
			})
			next++
		}
		res.Versions[i] = s.version()
	}
	res.Last = b.log.head()
	return res
}
