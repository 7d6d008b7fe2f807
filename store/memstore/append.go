package memstore

import (
	"context"
	"fmt"

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
	if duplicate, ok, err := b.first(&c); ok || err != nil {
		return duplicate, err
	}
	if err := b.check(&c); err != nil {
		return store.Result{}, err
	}
	res := b.write(&c)
	b.wake()
	return res, nil
}

// CopiesCommits implements store.Copier.
func (b *Backend) CopiesCommits() {}

// recordedAt gives the time of a commit. That which the Store has read will do, but where another commit, which read it
// later, was faster.
func (b *Backend) recordedAt(c *store.Commit) int64 {
	clock := c.Clock()
	if !b.systemClock || clock.IsZero() {
		return b.now().UnixMicro()
	}
	b.newest = max(b.newest, clock.UnixMicro())
	return b.newest
}

// first finds out whether the commit was stored before.
func (b *Backend) first(c *store.Commit) (store.Result, bool, error) {
	var found []event.Recorded
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			if p := b.ids.find(c.Appends[i].Events[j].ID); p > 0 {
				found = append(found, b.log.at(p).recorded(p))
			}
		}
	}
	if found == nil {
		return store.Result{}, false, nil
	}
	return store.FirstResult(*c, found)
}

func (b *Backend) check(c *store.Commit) error {
	for i := range c.Appends {
		part := &c.Appends[i]
		s := b.streams[part.Stream]
		if s != nil && s.deleted {
			return &store.StreamDeletedError{Stream: part.Stream}
		}
		if actual := s.version(); !part.Expected.Allows(actual) {
			return &store.ConflictError{Stream: part.Stream, Expected: part.Expected, Actual: actual}
		}
		if n := int(s.version()) + len(part.Events); b.maxEvents > 0 && n > b.maxEvents {
			return fmt.Errorf("%w: stream %s would have %d events, MaxEventsPerStream is %d", store.ErrTooLarge, part.Stream, n, b.maxEvents)
		}
	}
	if c.Condition == nil {
		return nil
	}
	for p := b.log.head(); p > c.Condition.After; p-- {
		e := b.log.at(p)
		if !e.empty() && c.Condition.Query.Matches(e.kind.name, e.tagged()) {
			return &store.ConflictError{Matched: p, After: c.Condition.After}
		}
	}
	return nil
}

func (b *Backend) write(c *store.Commit) store.Result {
	var metadata [512]byte
	res := store.Result{First: b.log.head() + 1, Versions: make([]event.Version, len(c.Appends))}
	now := b.recordedAt(c)
	for i := range c.Appends {
		part := &c.Appends[i]
		s := b.stream(part.Stream)
		for j := range part.Events {
			from := &part.Events[j]
			position := b.log.head() + 1
			s.positions = append(s.positions, position)
			e := b.log.next()
			e.id, e.stream, e.version = from.ID, s, s.version()
			e.kind = b.log.kind(kind{name: from.Type, schemaVersion: from.SchemaVersion, contentType: from.ContentType})
			e.occurredAt, e.recordedAt = from.OccurredAt.UnixMicro(), now
			e.setTags(from.Tags)
			b.log.keep(e, from.Data, from.Metadata.AppendJSON(metadata[:0]))
			b.ids.add(e.id, position)
		}
		res.Versions[i] = s.version()
	}
	res.Last = b.log.head()
	return res
}
