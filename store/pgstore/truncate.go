package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Truncate implements store.Truncator.
func (b *Backend) Truncate(ctx context.Context, stream event.StreamID, before event.Version) (int64, error) {
	if err := b.writable(ctx); err != nil {
		return 0, err
	}
	var removed *int64
	err := b.callInReadCommitted(ctx, sqlTruncate, []any{string(stream), int64(before)}, func(row pgx.Row) error { return row.Scan(&removed) })
	if err != nil {
		return 0, b.explain(ctx, err)
	}
	if removed == nil {
		return 0, store.ErrNotFound
	}
	return *removed, nil
}

// Delete implements store.Truncator: a tombstone and a truncation in one transaction.
func (b *Backend) Delete(ctx context.Context, stream event.StreamID, expected store.Expected) (store.Result, error) {
	if err := b.writable(ctx); err != nil {
		return store.Result{}, err
	}
	c := store.Commit{Appends: []store.Append{{Stream: stream, Expected: expected, Events: []event.Pending{{
		ID: event.NewID(), Type: event.TombstoneType, SchemaVersion: 1, ContentType: event.JSON,
		Data: []byte("{}"), OccurredAt: time.Now().UTC(),
	}}}}}
	if expected.IsAny() {
		c.Appends[0].Expected = store.StreamExists()
	}
	var result store.Result
	err := b.inReadCommitted(ctx, func(conn *pgx.Conn) (err error) {
		if result, err = b.appendAlone(ctx, conn, c); err != nil {
			return err
		}
		_, err = conn.Exec(ctx, b.sql.in(sqlTruncate), string(stream), int64(result.Version()))
		return err
	})
	var conflict *store.ConflictError
	if expected.IsAny() && errors.As(err, &conflict) {
		return store.Result{}, store.ErrNotFound // there is nothing to delete
	}
	if err != nil {
		return store.Result{}, b.explain(ctx, err)
	}
	if t := b.joined(ctx); t != nil {
		t.appended(c, result)
	} else {
		b.committed(result.Last)
	}
	return result, nil
}
