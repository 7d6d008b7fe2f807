package redisstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"

	"lexigram.dev/events/store"
)

// A record is stored as its revision and its expiry (microseconds since 1970; 0: never), 8 bytes each, and its value.
const recordHead = 16

func decodeRecord(bucket, key string, raw []byte) (store.Record, error) {
	if len(raw) < recordHead {
		return store.Record{}, corrupt("record %s/%s has %d bytes", bucket, key, len(raw))
	}
	r := store.Record{Bucket: bucket, Key: key, Value: raw[recordHead:], Revision: store.Revision(binary.BigEndian.Uint64(raw))} //nolint:gosec // written by us
	if binary.BigEndian.Uint64(raw[8:]) > 0 {
		r.ExpiresAt = timeOf(raw[8:])
	}
	return r, nil
}

// Get implements store.KV.
func (b *Backend) Get(ctx context.Context, bucket, key string) (store.Record, error) {
	if err := b.usable(ctx); err != nil {
		return store.Record{}, err
	}
	r, err := b.run(ctx, b.reads, &b.scripts.get, []string{b.keys.values + bucket}, "", key)
	var raw []byte
	if err == nil {
		raw, err = r.bytes(), r.err
	}
	switch {
	case err != nil:
		return store.Record{}, b.explain(ctx, err)
	case raw == nil:
		return store.Record{}, store.ErrNotFound
	}
	return decodeRecord(bucket, key, raw)
}

// Apply implements store.KV. It also removes some of the records that have expired.
func (b *Backend) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if err := b.writable(ctx); err != nil {
		return nil, err
	}
	if len(ops) == 0 {
		return nil, nil
	}
	keys, args := b.operations(ops)
	r, err := b.run(ctx, b.writes, &b.scripts.apply, keys, args...)
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	n := r.array()
	if len(r.rest) > 0 && r.rest[0] == '$' { // refused
		r.bytes()
		i, actual := int(r.int())-1, store.Revision(r.int())
		if r.err != nil || i < 0 || i >= len(ops) {
			return nil, errReply
		}
		want, _ := ops[i].If.Revision()
		return nil, &store.RevisionError{Bucket: ops[i].Bucket, Key: ops[i].Key, Expected: want, Actual: actual}
	}
	revisions := make([]store.Revision, 0, len(ops))
	for range n {
		revisions = append(revisions, store.Revision(r.int()))
	}
	if r.err != nil || n != len(ops) {
		return nil, errReply
	}
	return revisions, b.explain(ctx, b.confirm(ctx))
}

// operations gives the keys and arguments of apply.lua.
func (b *Backend) operations(ops []store.Op) (keys []string, args []any) {
	keys = []string{b.keys.meta, b.keys.expiry}
	buckets := map[string]int64{}
	packed := packArray(nil, len(ops))
	args = []any{"", schema, b.keys.values, b.keys.order, nil}
	for _, op := range ops {
		at, known := buckets[op.Bucket]
		if !known {
			keys = append(keys, b.keys.values+op.Bucket, b.keys.order+op.Bucket)
			at = int64(len(keys) - 1)
			buckets[op.Bucket] = at
		}
		expected, ttl := int64(-1), int64(0)
		if r, set := op.If.Revision(); set {
			expected = int64(r)
		}
		if op.TTL > 0 {
			ttl = max(op.TTL.Microseconds(), 1) // what is shorter than the clock's unit still ends
		}
		packed = packArray(packed, 6)
		packed = packInt(packed, int64(op.Kind))
		packed = packInt(packed, at)
		packed = packString(packed, op.Bucket)
		packed = packString(packed, op.Key)
		packed = packInt(packed, expected)
		packed = packInt(packed, ttl)
		if op.Kind == store.OpPut {
			args = append(args, append([]byte{}, op.Value...)) // the caller may leave before it is sent
		}
	}
	args[4] = packed
	return keys, args
}

// Scan implements store.KV.
func (b *Backend) Scan(ctx context.Context, s store.Scan) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		start, end := "["+s.From, "+"
		if s.From == "" {
			start = "-"
		}
		if s.To != "" {
			end = "(" + s.To
		}
		for read := 0; s.Limit == 0 || read < s.Limit; {
			size := listPage
			if s.Limit > 0 {
				size = min(size, s.Limit-read)
			}
			err := b.usable(ctx)
			var page []store.Record
			var last string
			if err == nil {
				page, last, err = b.scanPage(ctx, s.Bucket, start, end, size, s.Backwards)
			}
			if err != nil {
				yield(store.Record{}, b.explain(ctx, err))
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if last == "" {
				return
			}
			read += len(page)
			if s.Backwards {
				end = "(" + last
			} else {
				start = "(" + last
			}
		}
	}
}

// scanPage reads a page. last is the key up to which it looked; "" where there is nothing beyond.
func (b *Backend) scanPage(ctx context.Context, bucket, start, end string, size int, backwards bool) (page []store.Record, last string, err error) {
	r, err := b.run(ctx, b.reads, &b.scripts.scan, []string{b.keys.order + bucket, b.keys.values + bucket},
		"", start, end, size, direction(backwards), pageBytes)
	if err != nil {
		return nil, "", err
	}
	n := (r.array() - 1) / 2
	last = string(r.bytes())
	for range n {
		key := string(r.bytes())
		record, err := decodeRecord(bucket, key, bytes.Clone(r.bytes())) // a kept record must not keep the page
		if err != nil {
			return nil, "", err
		}
		page = append(page, record)
	}
	return page, last, r.err
}
