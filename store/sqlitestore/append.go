package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Append implements store.Log. Appends of many goroutines share transactions; see package groupcommit.
func (b *Backend) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	if err := b.writable(ctx); err != nil {
		return store.Result{}, err
	}
	t := b.transaction(ctx)
	if t == nil {
		return b.queue.Submit(ctx, c)
	}
	w, err := t.enter()
	if err != nil {
		return store.Result{}, err
	}
	defer t.leave()
	res, err := w.append(&c)
	return res, t.outcome(ctx, err)
}

// append checks a commit and inserts its events, in the open transaction. When it refuses the commit it leaves the
// transaction as it was.
func (w *writer) append(c *store.Commit) (store.Result, error) {
	err := w.check(c)
	if err == nil {
		var res store.Result
		if res, err = w.insert(c); err == nil {
			return res, nil
		}
	}
	if !errors.Is(err, errIDTaken) && !refusal(err) {
		return store.Result{}, err
	}
	// A repetition of an append that was stored meets a conflict, or its own ids.
	found, lookup := w.stored(c)
	if lookup != nil {
		return store.Result{}, lookup
	}
	if first, ok, reused := store.FirstResult(*c, found); ok || reused != nil {
		return first, reused
	}
	return store.Result{}, err
}

// check finds out whether the streams and the log are as the commit expects.
func (w *writer) check(c *store.Commit) error {
	for i := range c.Appends {
		part := &c.Appends[i]
		end, err := w.tailOf(part.Stream)
		switch {
		case err != nil:
			return err
		case end.deleted:
			return &store.StreamDeletedError{Stream: part.Stream}
		case !part.Expected.Allows(end.version):
			return &store.ConflictError{Stream: part.Stream, Expected: part.Expected, Actual: end.version}
		}
	}
	if c.Condition == nil || c.Condition.After >= w.head {
		return nil
	}
	matched, err := w.lastMatch(c.Condition)
	if err == nil && matched > 0 {
		err = &store.ConflictError{Matched: matched, After: c.Condition.After}
	}
	return err
}

// lastMatch gives the newest event that the condition forbids; 0 where there is none.
func (w *writer) lastMatch(c *store.Condition) (event.Position, error) {
	q := compose("e.position", store.Filter{Query: c.Query}, true)
	stmt, err := w.compose(q.sql)
	if err != nil {
		return 0, err
	}
	q.bind(stmt, int64(c.After)+1, math.MaxInt64, 1)
	matched, err := number(stmt)
	return event.Position(matched), err
}

// tailOf gives the end of a stream, from memory where it is known.
func (w *writer) tailOf(stream event.StreamID) (tail, error) {
	if end, known := w.streams[stream]; known {
		return end, nil
	}
	w.tail.BindText(1, string(stream))
	row, err := w.tail.Step()
	if err != nil {
		return tail{}, err
	}
	var end tail
	if row {
		end = tail{version: event.Version(w.tail.ColumnInt64(0)), deleted: w.tail.ColumnText(1) == event.TombstoneType}
	}
	w.remember(stream, end)
	return end, w.tail.Reset()
}

func (w *writer) remember(stream event.StreamID, end tail) {
	if len(w.streams) >= maxKnownStreams {
		clear(w.streams)
	}
	w.streams[stream] = end
}

// insert adds the events of a checked commit. It gives errIDTaken, and leaves nothing, if the log has one of their ids.
func (w *writer) insert(c *store.Commit) (store.Result, error) {
	now := w.backend.options.Now().UnixMicro()
	position := int64(w.head)
	res := store.Result{First: w.head + 1, Versions: make([]event.Version, len(c.Appends))}
	for i := range c.Appends {
		part := &c.Appends[i]
		end, err := w.tailOf(part.Stream) // known since check, unless memory ran full in between
		if err != nil {
			return store.Result{}, err
		}
		version := end.version
		w.insertEvent.BindText(colStream+1, string(part.Stream))
		w.insertEvent.BindInt64(colRecordedAt+1, now)
		for j := range part.Events {
			position++
			version++
			w.bindEvent(position, version, &part.Events[j])
			if err := run(w.insertEvent); err != nil {
				return store.Result{}, w.undo(err)
			}
		}
		res.Versions[i] = version
	}
	if err := w.insertTags(c); err != nil {
		return store.Result{}, err
	}
	for i := range c.Appends {
		w.remember(c.Appends[i].Stream, tail{
			version: res.Versions[i],
			deleted: c.Appends[i].Events[0].Type == event.TombstoneType,
		})
	}
	w.head = event.Position(position)
	res.Last = w.head
	return res, nil
}

func (w *writer) bindEvent(position int64, version event.Version, e *event.Pending) {
	var metadata [512]byte
	stmt := w.insertEvent
	stmt.BindInt64(colPosition+1, position)
	stmt.BindInt64(colVersion+1, int64(version))
	if e.Type != w.boundType {
		stmt.BindText(colType+1, e.Type)
		w.boundType = e.Type
	}
	stmt.BindInt64(colSchemaVersion+1, int64(e.SchemaVersion))
	if e.ContentType != w.boundContentType {
		stmt.BindText(colContentType+1, e.ContentType)
		w.boundContentType = e.ContentType
	}
	stmt.BindBytes(colID+1, e.ID[:])
	stmt.BindInt64(colOccurredAt+1, e.OccurredAt.UnixMicro())
	if len(e.Tags) == 0 {
		stmt.BindNull(colTags + 1)
	} else {
		stmt.BindText(colTags+1, encodeTags(e.Tags))
	}
	stmt.BindBytes(colMetadata+1, e.Metadata.AppendJSON(metadata[:0]))
	stmt.BindBytes(colData+1, e.Data)
}

// insertTags fills the side table. It runs when all events of the commit are in, so undo need not look there.
func (w *writer) insertTags(c *store.Commit) error {
	position := int64(w.head)
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			position++
			for _, tag := range c.Appends[i].Events[j].Tags {
				w.insertTag.BindText(1, string(tag))
				w.insertTag.BindInt64(2, position)
				if err := run(w.insertTag); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// undo takes the events of the commit out again whose insert failed with cause.
func (w *writer) undo(cause error) error {
	switch columns := violated(cause); columns {
	case "events.id":
	case "":
		return cause
	default: // positions and versions are counted under the write lock, so they cannot be taken
		return fmt.Errorf("%w: %s is taken in spite of the lock: %w", store.ErrCorrupt, columns, cause)
	}
	stmt, err := w.Prepare(sqlDeleteFrom)
	if err != nil {
		return err
	}
	stmt.BindInt64(1, int64(w.head)+1)
	if err := run(stmt); err != nil {
		return err
	}
	return errIDTaken
}

// stored gives the events in the log that have one of the commit's ids.
func (w *writer) stored(c *store.Commit) ([]event.Recorded, error) {
	stmt, err := w.Prepare(sqlByID)
	if err != nil {
		return nil, err
	}
	var d decoder
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			stmt.BindBytes(1, c.Appends[i].Events[j].ID[:])
			row, err := stmt.Step()
			if err == nil && row {
				err = d.add(stmt)
			}
			if err == nil {
				err = stmt.Reset()
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return d.events, nil
}
