package memstore

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strconv"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// bucket keeps records by key, and the keys in order.
type bucket struct {
	records map[string]store.Record
	keys    []string
}

func (k *bucket) put(r store.Record) {
	if _, there := k.records[r.Key]; !there {
		i, _ := slices.BinarySearch(k.keys, r.Key)
		k.keys = slices.Insert(k.keys, i, r.Key)
	}
	k.records[r.Key] = r
}

func (k *bucket) remove(key string) {
	if _, there := k.records[key]; there {
		i, _ := slices.BinarySearch(k.keys, key)
		k.keys = slices.Delete(k.keys, i, i+1)
		delete(k.records, key)
	}
}

// Get implements store.KV.
func (b *Backend) Get(ctx context.Context, name, key string) (store.Record, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.usable(ctx); err != nil {
		return store.Record{}, err
	}
	r, ok := b.record(name, key)
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

// record finds a live record. The caller holds mu.
func (b *Backend) record(name, key string) (store.Record, bool) {
	k := b.buckets[name]
	if k == nil {
		return store.Record{}, false
	}
	r, ok := k.records[key]
	if ok && !r.ExpiresAt.IsZero() && !b.now().Before(r.ExpiresAt) {
		return store.Record{}, false
	}
	return r, ok
}

// Apply implements store.KV. An operation sees what those before it in the batch did, so they are done one by one and
// undone when a later one fails.
func (b *Backend) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	revisions := make([]store.Revision, len(ops))
	undo := make([]func(), 0, len(ops))
	for i, op := range ops {
		old, there := b.record(op.Bucket, op.Key)
		if !op.If.Allows(old.Revision) {
			for _, u := range slices.Backward(undo) {
				u()
			}
			want, _ := op.If.Revision()
			return nil, &store.RevisionError{Bucket: op.Bucket, Key: op.Key, Expected: want, Actual: old.Revision}
		}
		if op.Kind == store.OpCheck {
			revisions[i] = old.Revision
			continue
		}
		undo = append(undo, func() { b.restore(op.Bucket, op.Key, old, there) })
		revisions[i] = b.change(op)
	}
	return revisions, nil
}

func (b *Backend) change(op store.Op) store.Revision {
	if op.Kind == store.OpDelete {
		b.restore(op.Bucket, op.Key, store.Record{}, false)
		return 0
	}
	b.revision++
	r := store.Record{Bucket: op.Bucket, Key: op.Key, Value: append([]byte{}, op.Value...), Revision: b.revision}
	if op.TTL > 0 {
		r.ExpiresAt = b.now().Add(op.TTL).UTC().Truncate(time.Microsecond)
	}
	b.restore(op.Bucket, op.Key, r, true)
	return r.Revision
}

// restore makes the record what it is given as, present or not.
func (b *Backend) restore(name, key string, r store.Record, present bool) {
	k := b.buckets[name]
	if k == nil {
		k = &bucket{records: map[string]store.Record{}}
		b.buckets[name] = k
	}
	if present {
		k.put(r)
	} else {
		k.remove(key)
	}
}

// countRemoved adds to the record that accounts for truncated events.
func (b *Backend) countRemoved(id event.StreamID, n int64) {
	old, _ := b.record(store.TruncatedBucket, string(id))
	before, _ := strconv.ParseInt(string(old.Value), 10, 64) // no record: 0
	b.change(store.Put(store.TruncatedBucket, string(id), strconv.AppendInt(nil, before+n, 10)))
}

// Scan implements store.KV. It yields the records as they were when it began.
func (b *Backend) Scan(ctx context.Context, s store.Scan) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		records, err := b.scan(ctx, s)
		if err != nil {
			yield(store.Record{}, err)
			return
		}
		for _, r := range records {
			r.Value = bytes.Clone(r.Value)
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (b *Backend) scan(ctx context.Context, s store.Scan) ([]store.Record, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	k := b.buckets[s.Bucket]
	if k == nil {
		return nil, nil
	}
	from, _ := slices.BinarySearch(k.keys, s.From)
	to := len(k.keys)
	if s.To != "" {
		to, _ = slices.BinarySearch(k.keys, s.To)
	}
	keys := slices.Clone(k.keys[from:max(from, to)])
	if s.Backwards {
		slices.Reverse(keys)
	}
	var records []store.Record
	for _, key := range keys {
		if s.Limit > 0 && len(records) == s.Limit {
			break
		}
		if r, live := b.record(s.Bucket, key); live {
			records = append(records, r)
		}
	}
	return records, nil
}
