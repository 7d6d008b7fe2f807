package sqlitestore

import (
	"context"
	"iter"
	"time"

	"zombiezen.com/go/sqlite"

	"lexigram.dev/events/store"
)

// scanPage is how many records a scan takes from the file at once.
const scanPage = 256

// Get implements store.KV.
func (b *Backend) Get(ctx context.Context, bucket, key string) (store.Record, error) {
	c, release, err := b.reader(ctx)
	if err != nil {
		return store.Record{}, err
	}
	defer release()
	r := store.Record{Bucket: bucket, Key: key}
	found := false
	err = whileBusy(ctx, b.options.BusyTimeout, func() error {
		stmt, err := c.Prepare(sqlGetRecord)
		if err != nil {
			return err
		}
		stmt.BindText(1, bucket)
		stmt.BindText(2, key)
		if found, err = stmt.Step(); err != nil || !found {
			return err
		}
		fillRecord(&r, stmt, 0)
		return stmt.Reset()
	})
	if err != nil {
		return store.Record{}, translate(ctx, err)
	}
	if !found || expired(r.ExpiresAt, b.options.Now()) {
		return store.Record{}, store.ErrNotFound
	}
	return r, nil
}

// fillRecord decodes revision, expiry and value, which stand in this order from column first on.
func fillRecord(r *store.Record, stmt *sqlite.Stmt, first int) {
	r.Revision = store.Revision(stmt.ColumnInt64(first))
	r.ExpiresAt = expiry(stmt, first+1)
	r.Value = make([]byte, stmt.ColumnLen(first+2))
	stmt.ColumnBytes(first+2, r.Value)
}

// expiry decodes an expires_at column; null is the zero time, "never".
func expiry(stmt *sqlite.Stmt, col int) time.Time {
	if stmt.ColumnIsNull(col) {
		return time.Time{}
	}
	return time.UnixMicro(stmt.ColumnInt64(col)).UTC()
}

// expired counts in microseconds, as the statements do.
func expired(at, now time.Time) bool { return !at.IsZero() && at.UnixMicro() <= now.UnixMicro() }

// Scan implements store.KV. It reads in pages, each a moment later than the one before.
func (b *Backend) Scan(ctx context.Context, s store.Scan) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for {
			size := scanPage
			if s.Limit > 0 {
				size = min(size, s.Limit)
			}
			records, err := b.scanPage(ctx, s, size)
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if len(records) < size || len(records) == s.Limit {
				return
			}
			if s.Limit > 0 {
				s.Limit -= len(records)
			}
			if last := records[len(records)-1].Key; s.Backwards {
				s.To = last
			} else {
				s.From = last + "\x00" // the next byte string
			}
		}
	}
}

func (b *Backend) scanPage(ctx context.Context, s store.Scan, size int) (records []store.Record, err error) {
	c, release, err := b.interruptibleReader(ctx) // it may pass by many that have expired
	if err != nil {
		return nil, err
	}
	defer release()
	sql := sqlScanForward
	if s.Backwards {
		sql = sqlScanBackward
	}
	err = whileBusy(ctx, b.options.BusyTimeout, func() error {
		stmt, err := c.Prepare(sql)
		if err != nil {
			return err
		}
		stmt.BindText(1, s.Bucket)
		stmt.BindText(2, s.From)
		if s.To == "" {
			stmt.BindBytes(3, nil) // a blob is greater than every text
		} else {
			stmt.BindText(3, s.To)
		}
		stmt.BindInt64(4, b.options.Now().UnixMicro())
		stmt.BindInt64(5, int64(size))
		for {
			row, err := stmt.Step()
			if err != nil {
				return err
			}
			if !row {
				return stmt.Reset()
			}
			r := store.Record{Bucket: s.Bucket, Key: stmt.ColumnText(0)}
			fillRecord(&r, stmt, 1)
			records = append(records, r)
		}
	})
	return records, translate(ctx, err)
}
