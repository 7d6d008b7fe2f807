package pgstore

import (
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Head implements store.Log.
func (b *Backend) Head(ctx context.Context) (head event.Position, err error) {
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	err = b.withConn(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, b.sql.in(sqlHead)).Scan(&head)
	})
	return head, b.explain(ctx, err)
}

// StreamInfo implements store.Log.
func (b *Backend) StreamInfo(ctx context.Context, stream event.StreamID) (info store.StreamInfo, err error) {
	if err := b.usable(ctx); err != nil {
		return info, err
	}
	err = b.withConn(ctx, func(conn *pgx.Conn) error {
		info, err = readInfo(conn.QueryRow(ctx, b.sql.in(sqlStreamInfo), string(stream)))
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return store.StreamInfo{}, store.ErrNotFound
	}
	return info, b.explain(ctx, err)
}

// readInfo reads a row of sqlInfoColumns.
func readInfo(row pgx.Row) (info store.StreamInfo, err error) {
	var lastType string
	err = row.Scan(&info.Stream, &info.Version, &info.First, &info.Position, &info.CreatedAt, &info.UpdatedAt, &lastType)
	info.CreatedAt, info.UpdatedAt = info.CreatedAt.UTC(), info.UpdatedAt.UTC()
	info.Deleted = lastType == event.TombstoneType
	return info, err
}

// Streams implements store.Log.
func (b *Backend) Streams(ctx context.Context, r store.StreamsRead) iter.Seq2[store.StreamInfo, error] {
	start, end, some := "", "", true
	if r.After != "" {
		if start, some = bound(string(r.After)); start == string(r.After) {
			start = after(start)
		}
	}
	if r.Category != "" {
		start, end = max(start, r.Category+"-"), r.Category+"."
	}
	return paged(ctx, b, r.Limit, func(conn *pgx.Conn, size int, last *store.StreamInfo) ([]store.StreamInfo, error) {
		if !some {
			return nil, nil
		}
		start := start
		if last != nil {
			start = after(string(last.Stream))
		}
		rows, err := conn.Query(ctx, b.sql.in(sqlStreams), start, end, size)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.StreamInfo, error) { return readInfo(row) })
	})
}

// listPage is the number of streams or records in one page.
const listPage = 500

// paged yields what fetch gives, page by page; last is the last entry that was yielded, nil at first. No connection is
// held while the loop's body runs.
func paged[T any](ctx context.Context, b *Backend, limit int, fetch func(conn *pgx.Conn, size int, last *T) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		var last *T
		for read := 0; limit == 0 || read < limit; {
			size := listPage
			if limit > 0 {
				size = min(size, limit-read)
			}
			var page []T
			err := b.usable(ctx)
			if err == nil {
				err = b.withConn(ctx, func(conn *pgx.Conn) (err error) {
					page, err = fetch(conn, size, last)
					return err
				})
			}
			if err != nil {
				yield(zero, b.explain(ctx, err))
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if len(page) < size {
				return
			}
			read += len(page)
			last = &page[len(page)-1]
		}
	}
}
