package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

const (
	sqlAppendLock = `select pg_advisory_xact_lock({{lock}}, 1)`

	// By events_stream_version: the last event of each stream, in the order of the names.
	sqlTails = `select coalesce(l.version, 0), coalesce(l.type = '$tombstone', false) from unnest($1::text[]) with ordinality as u(s, o)
		left join lateral (select version, type from {{schema}}.events where stream = u.s order by version desc limit 1) l on true order by u.o`

	sqlImportTags = `insert into {{schema}}.event_tags (tag, position) select * from unnest($1::text[], $2::bigint[]) on conflict do nothing`

	// sqlCountRemoved says how many events a stream has lost in all.
	sqlCountRemoved = `insert into {{schema}}.records as r (bucket, key, value, revision)
		values ('$truncated', $1, $2, nextval('{{schema}}.record_revision'))
		on conflict on constraint records_bucket_key do update set value = excluded.value, revision = excluded.revision, expires_at = null`

	// By records_bucket_key.
	sqlNewerRecord = `select r.bucket, r.key, r.revision, u.r from unnest($1::text[], $2::text[], $3::bigint[]) as u(b, k, r)
		join {{schema}}.records r on r.bucket = u.b and r.key = u.k
		where r.revision > u.r and (r.expires_at is null or r.expires_at > clock_timestamp()) limit 1`
	sqlImportRecords = `insert into {{schema}}.records (bucket, key, value, revision, expires_at)
		select * from unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::timestamptz[])
		on conflict on constraint records_bucket_key do update
		   set value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at`
	// sqlRaiseRevision runs while nobody writes records, so nobody takes a revision meanwhile.
	sqlRaiseRevision = `select setval('{{schema}}.record_revision', $1) from {{schema}}.record_revision where last_value < $1`
	sqlRecordsLock   = `lock table {{schema}}.records in share row exclusive mode`

	sqlBuckets = `with recursive hop (bucket) as (
			select min(bucket) from {{schema}}.records
			union all
			select (select min(r.bucket) from {{schema}}.records r where r.bucket > hop.bucket) from hop where hop.bucket is not null)
		select bucket from hop where bucket is not null order by bucket`
)

// importColumns are those that an import brings: all.
var importColumns = []string{ //nolint:gochecknoglobals // a constant list
	"position", "id", "stream", "version", "type", "schema_version", "content_type", "data", "metadata", "tags", "occurred_at", "recorded_at",
}

// Import implements store.Importer, in one transaction, under the append lock.
func (b *Backend) Import(ctx context.Context, after event.Position, events []event.Recorded) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	streams := store.ImportedStreams(events)
	err := b.inReadCommitted(ctx, func(conn *pgx.Conn) error { return b.importEvents(ctx, conn, after, events, streams) })
	if err != nil {
		return b.explainImport(ctx, err)
	}
	last := events[len(events)-1].Position
	t := b.joined(ctx)
	if t == nil {
		b.committed(last)
		return nil
	}
	t.imported(last, streams)
	return nil
}

// imported notes what to tell others after the commit.
func (t *transaction) imported(last event.Position, streams []store.ImportedStream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = last
	for i := range streams {
		t.versions[streams[i].Stream] = streams[i].Last
	}
}

func (b *Backend) importEvents(ctx context.Context, conn *pgx.Conn, after event.Position, events []event.Recorded, streams []store.ImportedStream) error {
	if _, err := conn.Exec(ctx, b.sql.in(sqlAppendLock)); err != nil {
		return err
	}
	var head event.Position
	if err := conn.QueryRow(ctx, b.sql.in(sqlHead)).Scan(&head); err != nil {
		return err
	}
	if head != after {
		return &store.HeadError{Expected: after, Actual: head}
	}
	truncated, err := b.follow(ctx, conn, streams)
	if err != nil {
		return err
	}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{b.options.Schema, "events"}, importColumns, pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
		return importedRow(&events[i]), nil
	})); err != nil {
		return err
	}
	if err := b.importTags(ctx, conn, events); err != nil {
		return err
	}
	for _, s := range truncated {
		if _, err := conn.Exec(ctx, b.sql.in(sqlTruncate), string(s.Stream), int64(s.First)); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, b.sql.in(sqlCountRemoved), string(s.Stream), strconv.AppendInt(nil, int64(s.First)-1, 10)); err != nil {
			return err
		}
	}
	return nil
}

// follow holds the streams against what is stored, and gives those that the source has truncated.
func (b *Backend) follow(ctx context.Context, conn *pgx.Conn, streams []store.ImportedStream) ([]store.ImportedStream, error) {
	names := make([]string, len(streams))
	for i := range streams {
		names[i] = string(streams[i].Stream)
	}
	rows, err := conn.Query(ctx, b.sql.in(sqlTails), names)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var truncated []store.ImportedStream
	for i := 0; rows.Next(); i++ {
		var version event.Version
		var deleted bool
		if err := rows.Scan(&version, &deleted); err != nil {
			return nil, err
		}
		truncates, err := streams[i].Follows(version, deleted)
		if err != nil {
			return nil, err
		}
		if truncates {
			truncated = append(truncated, streams[i])
		}
	}
	return truncated, rows.Err()
}

func importedRow(e *event.Recorded) []any {
	var tags []string
	for _, tag := range e.Tags {
		tags = append(tags, string(tag))
	}
	return []any{
		int64(e.Position), [16]byte(e.ID), string(e.Stream), int64(e.Version), e.Type, int32(e.SchemaVersion), //nolint:gosec // checked by the store
		e.ContentType, notNil(e.Data), notNil(e.RawMetadata), tags, e.OccurredAt.UTC(), e.RecordedAt.UTC(),
	}
}

func (b *Backend) importTags(ctx context.Context, conn *pgx.Conn, events []event.Recorded) error {
	var tags []string
	var positions []int64
	for i := range events {
		for _, tag := range events[i].Tags {
			tags, positions = append(tags, string(tag)), append(positions, int64(events[i].Position))
		}
	}
	if len(tags) == 0 {
		return nil
	}
	_, err := conn.Exec(ctx, b.sql.in(sqlImportTags), tags, positions)
	return err
}

// explainImport names the constraint that an import broke.
func (b *Backend) explainImport(ctx context.Context, err error) error {
	if pgErr := asServerError(err); pgErr != nil && isIDTaken(pgErr) {
		return &kindError{kind: store.ErrIDReused, err: fmt.Errorf("%s", pgErr.Detail)}
	}
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrStreamDeleted) {
		return err
	}
	return b.explain(ctx, err)
}

// ImportRecords implements store.Importer. It keeps other writers of records out, so that no revision is given out twice.
func (b *Backend) ImportRecords(ctx context.Context, records []store.Record) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	n := len(records)
	buckets, keys, values := make([]string, n), make([]string, n), make([][]byte, n)
	revisions, expiries := make([]int64, n), make([]*time.Time, n)
	for i := range records {
		r := &records[i]
		buckets[i], keys[i], values[i], revisions[i] = r.Bucket, r.Key, notNil(r.Value), int64(r.Revision)
		if !r.ExpiresAt.IsZero() {
			expiries[i] = &r.ExpiresAt
		}
	}
	err := b.inReadCommitted(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, b.sql.in(sqlRecordsLock)); err != nil {
			return err
		}
		var newer store.RevisionError
		err := conn.QueryRow(ctx, b.sql.in(sqlNewerRecord), buckets, keys, revisions).Scan(&newer.Bucket, &newer.Key, &newer.Actual, &newer.Expected)
		switch {
		case err == nil:
			return &newer
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		if _, err := conn.Exec(ctx, b.sql.in(sqlImportRecords), buckets, keys, values, revisions, expiries); err != nil {
			return err
		}
		_, err = conn.Exec(ctx, b.sql.in(sqlRaiseRevision), slices.Max(revisions))
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	return b.explain(ctx, err)
}

// Buckets implements store.BucketLister.
func (b *Backend) Buckets(ctx context.Context) ([]string, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	var buckets []string
	err := b.withConn(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, b.sql.in(sqlBuckets))
		if err != nil {
			return err
		}
		buckets, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return buckets, nil
}
