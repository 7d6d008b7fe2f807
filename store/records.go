package store

import (
	"context"
	"fmt"
	"iter"

	"lexigram.dev/events/event"
)

// Get gives a record; ErrNotFound where it is missing or expired.
func (s *Store) Get(ctx context.Context, bucket, key string) (Record, error) {
	err := s.limits.checkKey(bucket, key)
	var r Record
	if err == nil {
		r, err = s.backend.Get(ctx, bucket, key)
	}
	if err != nil {
		return Record{}, fmt.Errorf("get record %s/%s: %w", abbreviate(bucket), abbreviate(key), err)
	}
	return r, nil
}

// Apply does all operations or none; see [KV].
func (s *Store) Apply(ctx context.Context, ops ...Op) ([]Revision, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	if err := s.checkOps(ops); err != nil {
		return nil, fmt.Errorf("write %d records: %w", len(ops), err)
	}
	revisions, err := s.backend.Apply(ctx, ops)
	if err != nil {
		return nil, fmt.Errorf("write record %s/%s (and %d more): %w", abbreviate(ops[0].Bucket), abbreviate(ops[0].Key), len(ops)-1, err)
	}
	return revisions, nil
}

func (s *Store) checkOps(ops []Op) error {
	if len(ops) > s.limits.MaxBatchOps {
		return tooLarge("number of operations", len(ops), s.limits.MaxBatchOps)
	}
	for i := range ops {
		if err := s.limits.checkOp(ops[i]); err != nil {
			return err
		}
	}
	return nil
}

// Scan yields the records of a bucket in byte order of their keys.
func (s *Store) Scan(ctx context.Context, r Scan) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		err := event.ValidateName(r.Bucket)
		if err == nil && r.Limit < 0 {
			err = fmt.Errorf("limit %d: must not be negative", r.Limit)
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("scan bucket %q: %w", abbreviate(r.Bucket), invalid("%w", err)))
			return
		}
		for record, err := range s.backend.Scan(ctx, r) {
			if err != nil {
				yield(Record{}, fmt.Errorf("scan bucket %s: %w", r.Bucket, err))
				return
			}
			if !yield(record, nil) {
				return
			}
		}
	}
}
