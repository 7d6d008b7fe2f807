package sqlitestore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Truncate implements store.Truncator. The removal and its account in store.TruncatedBucket are one transaction.
func (b *Backend) Truncate(ctx context.Context, stream event.StreamID, before event.Version) (removed int64, err error) {
	err = b.write(ctx, func(w *writer) (err error) {
		removed, err = w.truncate(stream, before)
		return err
	})
	return removed, err
}

// Delete implements store.Truncator.
func (b *Backend) Delete(ctx context.Context, stream event.StreamID, expected store.Expected) (res store.Result, err error) {
	tombstone := store.Commit{Appends: []store.Append{{Stream: stream, Expected: expected, Events: []event.Pending{{
		ID: event.NewID(), Type: event.TombstoneType, SchemaVersion: 1, ContentType: event.JSON, Data: []byte("{}"),
		OccurredAt: b.options.Now().UTC().Truncate(time.Microsecond),
	}}}}}
	err = b.write(ctx, func(w *writer) error {
		end, err := w.tailOf(stream)
		if err == nil && end.version == 0 && expected.IsAny() {
			err = store.ErrNotFound
		}
		if err == nil {
			res, err = w.append(&tombstone)
		}
		if err == nil {
			_, err = w.truncate(stream, res.Version())
		}
		return err
	})
	return res, err
}

// write runs fn in a transaction of its own or in that of ctx. fn changes nothing if it refuses.
func (b *Backend) write(ctx context.Context, fn func(w *writer) error) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	if t := b.transaction(ctx); t != nil {
		w, err := t.enter()
		if err != nil {
			return err
		}
		defer t.leave()
		if err = fn(w); errors.Is(err, store.ErrNotFound) {
			return err
		}
		return t.outcome(ctx, err)
	}
	w, err := b.writer(ctx)
	if err != nil {
		return err
	}
	defer b.put(w)
	if err := whileBusy(ctx, b.options.BusyTimeout, w.beginTransaction); err != nil {
		return translate(ctx, err)
	}
	w.SetInterrupt(ctx.Done())
	err = fn(w)
	w.SetInterrupt(nil)
	if err != nil {
		w.rollbackTransaction()
	} else {
		err = w.commitTransaction()
	}
	return translate(ctx, err)
}

// truncate removes the events below a version, except the last one of the stream, and accounts for them.
func (w *writer) truncate(stream event.StreamID, before event.Version) (int64, error) {
	end, err := w.tailOf(stream)
	if err != nil {
		return 0, err
	}
	if end.version == 0 {
		return 0, store.ErrNotFound
	}
	removed, err := w.removeBelow(stream, min(before, end.version))
	if err != nil || removed == 0 {
		return 0, err
	}
	total := removed
	stmt, err := w.Prepare(sqlGetRecord)
	if err != nil {
		return 0, err
	}
	stmt.BindText(1, store.TruncatedBucket)
	stmt.BindText(2, string(stream))
	row, err := stmt.Step()
	if err != nil {
		return 0, err
	}
	if row {
		var r store.Record
		fillRecord(&r, stmt, 0)
		if err := stmt.Reset(); err != nil {
			return 0, err
		}
		before, err := strconv.ParseInt(string(r.Value), 10, 64)
		if err != nil {
			return 0, err
		}
		total += before
	}
	_, err = w.apply([]store.Op{store.Put(store.TruncatedBucket, string(stream), strconv.AppendInt(nil, total, 10))})
	return removed, err
}

// removeBelow deletes events and their tags.
func (w *writer) removeBelow(stream event.StreamID, version event.Version) (removed int64, err error) {
	oldest, err := w.Prepare(sqlOldest)
	if err != nil {
		return 0, err
	}
	deleteEvent, err := w.Prepare(sqlDeleteEvent)
	if err != nil {
		return 0, err
	}
	deleteTag, err := w.Prepare(sqlDeleteTag)
	if err != nil {
		return 0, err
	}
	type row struct {
		position int64
		tags     string
	}
	var rows []row
	oldest.BindText(1, string(stream))
	oldest.BindInt64(2, int64(version))
	for {
		more, err := oldest.Step()
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		rows = append(rows, row{position: oldest.ColumnInt64(0), tags: oldest.ColumnText(1)})
	}
	if err := oldest.Reset(); err != nil {
		return 0, err
	}
	for _, r := range rows {
		deleteEvent.BindInt64(1, r.position)
		if err := run(deleteEvent); err != nil {
			return 0, err
		}
		if r.tags == "" {
			continue
		}
		tags, err := decodeTags(r.tags)
		if err != nil {
			return 0, err
		}
		for _, tag := range tags {
			deleteTag.BindText(1, string(tag))
			deleteTag.BindInt64(2, r.position)
			if err := run(deleteTag); err != nil {
				return 0, err
			}
		}
	}
	return int64(len(rows)), nil
}
