package sqlitestore

import (
	"context"
	"strconv"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Import implements store.Importer, in one transaction.
func (b *Backend) Import(ctx context.Context, after event.Position, events []event.Recorded) error {
	return b.write(ctx, func(w *writer) error { return w.importEvents(after, events) })
}

// importEvents checks everything before it writes anything. When it refuses it leaves the transaction as it was.
func (w *writer) importEvents(after event.Position, events []event.Recorded) error {
	if w.head != after {
		return &store.HeadError{Expected: after, Actual: w.head}
	}
	streams := store.ImportedStreams(events)
	truncates := make([]bool, len(streams))
	for i := range streams {
		end, err := w.tailOf(streams[i].Stream)
		if err != nil {
			return err
		}
		if truncates[i], err = streams[i].Follows(end.version, end.deleted); err != nil {
			return err
		}
	}
	for i := range events {
		if err := w.insertImported(&events[i]); err != nil {
			return w.refuseImported(err, &events[i])
		}
	}
	for i := range events {
		if err := w.tag(&events[i]); err != nil {
			return err
		}
	}
	for i := range streams {
		s := &streams[i]
		w.remember(s.Stream, tail{version: s.Last, deleted: s.Deleted})
		if !truncates[i] {
			continue
		}
		if _, err := w.removeBelow(s.Stream, s.First); err != nil {
			return err
		}
		removed := strconv.AppendInt(nil, int64(s.First)-1, 10)
		if _, err := w.apply([]store.Op{store.Put(store.TruncatedBucket, string(s.Stream), removed)}); err != nil {
			return err
		}
	}
	w.head = events[len(events)-1].Position
	return nil
}

func (w *writer) insertImported(e *event.Recorded) error {
	w.bindEvent(int64(e.Position), e.Version, &event.Pending{
		ID: e.ID, Type: e.Type, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType, Data: e.Data, Tags: e.Tags, OccurredAt: e.OccurredAt,
	})
	w.insertEvent.BindText(colStream+1, string(e.Stream))
	w.insertEvent.BindInt64(colRecordedAt+1, e.RecordedAt.UnixMicro())
	w.insertEvent.BindBytes(colMetadata+1, e.RawMetadata)
	return run(w.insertEvent)
}

// refuseImported takes the events of the import out again, and says whose id is taken.
func (w *writer) refuseImported(cause error, e *event.Recorded) error {
	if err := w.undo(cause); err != errIDTaken { //nolint:errorlint // it is given as it is
		return err
	}
	stored, err := w.stored(&store.Commit{Appends: []store.Append{{Events: []event.Pending{{ID: e.ID}}}}})
	if err != nil {
		return err
	}
	refused := &store.IDReusedError{ID: e.ID, Reason: "the import has it twice"}
	if len(stored) > 0 {
		refused.Stream, refused.Position, refused.Reason = stored[0].Stream, stored[0].Position, "it comes again at another position"
	}
	return refused
}

// tag fills the side table.
func (w *writer) tag(e *event.Recorded) error {
	for _, tag := range e.Tags {
		w.insertTag.BindText(1, string(tag))
		w.insertTag.BindInt64(2, int64(e.Position))
		if err := run(w.insertTag); err != nil {
			return err
		}
	}
	return nil
}

// ImportRecords implements store.Importer.
func (b *Backend) ImportRecords(ctx context.Context, records []store.Record) error {
	return b.write(ctx, func(w *writer) error { return w.importRecords(records) })
}

func (w *writer) importRecords(records []store.Record) error {
	now := w.backend.options.Now()
	for i := range records {
		r := &records[i]
		current, err := w.revisionOf(r.Bucket, r.Key, now)
		if err != nil {
			return err
		}
		if current > r.Revision {
			return &store.RevisionError{Bucket: r.Bucket, Key: r.Key, Expected: r.Revision, Actual: current}
		}
	}
	stmt, err := w.Prepare(sqlPutRecord)
	if err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		stmt.BindText(1, r.Bucket)
		stmt.BindText(2, r.Key)
		stmt.BindInt64(3, int64(r.Revision))
		if r.ExpiresAt.IsZero() {
			stmt.BindNull(4)
		} else {
			stmt.BindInt64(4, r.ExpiresAt.UnixMicro())
		}
		stmt.BindBytes(5, r.Value)
		if err := run(stmt); err != nil {
			return err
		}
		w.revision = max(w.revision, r.Revision)
	}
	return nil
}

// records_bucket_key: leaps from bucket to bucket.
const sqlBuckets = `with recursive names (name) as (
    select (select min(bucket) from records)
    union all
    select (select min(bucket) from records where bucket > name) from names where name is not null
) select name from names where name is not null`

// Buckets implements store.BucketLister.
func (b *Backend) Buckets(ctx context.Context) ([]string, error) {
	c, release, err := b.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	var buckets []string
	err = whileBusy(ctx, b.options.BusyTimeout, func() error {
		stmt, err := c.Prepare(sqlBuckets)
		buckets = buckets[:0]
		for err == nil {
			var row bool
			if row, err = stmt.Step(); err != nil || !row {
				break
			}
			buckets = append(buckets, stmt.ColumnText(0))
		}
		if err != nil {
			return err
		}
		return stmt.Reset()
	})
	return buckets, translate(ctx, err)
}
