package pgstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/store"
)

// Get implements store.KV.
func (b *Backend) Get(ctx context.Context, bucket, key string) (store.Record, error) {
	if err := b.usable(ctx); err != nil {
		return store.Record{}, err
	}
	r := store.Record{Bucket: bucket, Key: key}
	err := b.withConn(ctx, func(conn *pgx.Conn) error {
		var expires *time.Time
		err := conn.QueryRow(ctx, b.sql.in(sqlGet), bucket, key).Scan(&r.Value, &r.Revision, &expires)
		r.ExpiresAt = utc(expires)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Record{}, store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, b.explain(ctx, err)
	}
	return r, nil
}

// utc gives the zero time for null.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// operations are the arguments of apply_records.
type operations struct {
	kinds         []int32
	buckets, keys []string
	values        [][]byte
	ttls          []*int64
	expected      []*int64
	sweep         bool // expired records come about where records expire
}

func operationsOf(ops []store.Op) operations {
	n := len(ops)
	o := operations{make([]int32, n), make([]string, n), make([]string, n), make([][]byte, n), make([]*int64, n), make([]*int64, n), false}
	for i, op := range ops {
		o.kinds[i], o.buckets[i], o.keys[i] = int32(op.Kind), op.Bucket, op.Key
		if op.Kind == store.OpPut {
			o.values[i] = notNil(op.Value)
			if op.TTL > 0 {
				// What is shorter than the clock's unit still ends.
				ttl := max(op.TTL.Microseconds(), 1)
				o.ttls[i], o.sweep = &ttl, true
			}
		}
		if r, set := op.If.Revision(); set {
			revision := int64(r)
			o.expected[i] = &revision
		}
	}
	return o
}

// Apply implements store.KV.
func (b *Backend) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if err := b.writable(ctx); err != nil {
		return nil, err
	}
	if len(ops) == 0 {
		return nil, nil
	}
	o := operationsOf(ops)
	// A sweep locks records out of order, so it has no place in a transaction that goes on.
	sweep := o.sweep && b.joined(ctx) == nil
	sql := sqlApply
	if len(ops) >= manyOps && distinct(ops) {
		sql = sqlApplyMany
	}
	var failed int
	var actual *int64
	var revisions []store.Revision
	err := b.callInReadCommitted(ctx, sql, []any{o.kinds, o.buckets, o.keys, o.values, o.ttls, o.expected, sweep}, func(row pgx.Row) error {
		return row.Scan(&failed, &actual, &revisions)
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	if failed > 0 {
		op := ops[failed-1]
		want, _ := op.If.Revision()
		return nil, &store.RevisionError{Bucket: op.Bucket, Key: op.Key, Expected: want, Actual: store.Revision(*actual)}
	}
	return revisions, nil
}

// manyOps is from how many operations on apply_many is used, which costs more for a few.
const manyOps = 8

// distinct reports whether no record is named twice.
func distinct(ops []store.Op) bool {
	type name struct{ bucket, key string }
	seen := make(map[name]struct{}, len(ops))
	for i := range ops {
		seen[name{ops[i].Bucket, ops[i].Key}] = struct{}{}
	}
	return len(seen) == len(ops)
}

// callInReadCommitted runs one statement in a READ COMMITTED transaction in a single round trip.
func (b *Backend) callInReadCommitted(ctx context.Context, sql string, args []any, scan func(row pgx.Row) error) error {
	if t := b.joined(ctx); t != nil {
		return t.use(func(conn *pgx.Conn) error { return scan(conn.QueryRow(ctx, b.sql.in(sql), args...)) })
	}
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // closes a connection whose transaction has failed
	var batch pgx.Batch
	batch.Queue("begin isolation level read committed")
	batch.Queue(b.sql.in(sql), args...).QueryRow(scan)
	batch.Queue("commit")
	return conn.SendBatch(ctx, &batch).Close()
}

// Scan implements store.KV.
func (b *Backend) Scan(ctx context.Context, s store.Scan) iter.Seq2[store.Record, error] {
	sql := sqlScanForwards
	if s.Backwards {
		sql = sqlScanBackwards
	}
	start, some := bound(s.From)
	end, ends := bound(s.To)
	if !ends {
		end = ""
	}
	return paged(ctx, b, s.Limit, func(conn *pgx.Conn, size int, last *store.Record) ([]store.Record, error) {
		if !some {
			return nil, nil
		}
		from, to := start, end
		if last != nil && s.Backwards {
			to = last.Key // exclusive
		} else if last != nil {
			from = after(last.Key)
		}
		rows, err := conn.Query(ctx, b.sql.in(sql), s.Bucket, from, to, size)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Record, error) {
			r := store.Record{Bucket: s.Bucket}
			var expires *time.Time
			err := row.Scan(&r.Key, &r.Value, &r.Revision, &expires)
			r.ExpiresAt = utc(expires)
			return r, err
		})
	})
}
