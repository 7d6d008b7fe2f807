package migrate

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// recordsAtOnce and batchBytes bound a batch of records.
const recordsAtOnce = 500

// records makes the target's records those of the source.
func (c *copier) records(ctx context.Context) error {
	if !c.o.Records {
		return nil
	}
	buckets, err := bucketsOf(ctx, c.from, c.to)
	if err != nil {
		return err
	}
	for _, bucket := range buckets {
		w := recordWriter{to: c.to, done: &c.done.Records}
		for p, err := range withoutLeases(ctx, c.from, c.to, bucket) {
			if err == nil && !p.same() {
				err = w.add(ctx, p)
			}
			if err != nil {
				return err
			}
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bucketsOf names the buckets of both stores that are copied: all but the account of removals, which copying a log makes
// right by itself.
func bucketsOf(ctx context.Context, from, to *store.Store) ([]string, error) {
	ours, err := from.Buckets(ctx)
	if err != nil {
		return nil, wrap("source", err)
	}
	theirs, err := to.Buckets(ctx)
	if err != nil {
		return nil, wrap("target", err)
	}
	all := slices.Concat(ours, theirs)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(bucket string) bool { return bucket == store.TruncatedBucket }), nil
}

// withoutLeases yields the records of a bucket of both stores that are no leases.
func withoutLeases(ctx context.Context, from, to *store.Store, bucket string) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for p, err := range merge(ctx, from, to, bucket) {
			if p.from != nil && lease.Is(p.from) {
				p.from = nil
			}
			if p.to != nil && lease.Is(p.to) {
				p.to = nil
			}
			if (err != nil || p != pair{}) && !yield(p, err) {
				return
			}
		}
	}
}

func (p pair) same() bool {
	if p.from == nil || p.to == nil {
		return p.from == p.to
	}
	return p.from.Revision == p.to.Revision && p.from.ExpiresAt.Equal(p.to.ExpiresAt) && bytes.Equal(p.from.Value, p.to.Value)
}

// recordWriter gathers what is to be done to records.
type recordWriter struct {
	to      *store.Store
	done    *int64
	set     []store.Record
	removed []store.Op
	bytes   int
}

func (w *recordWriter) add(ctx context.Context, p pair) error {
	if p.from == nil {
		w.removed = append(w.removed, store.Delete(p.to.Bucket, p.to.Key).When(store.IfRevision(p.to.Revision)))
	} else {
		w.set = append(w.set, *p.from)
		w.bytes += len(p.from.Value)
	}
	if len(w.set)+len(w.removed) < recordsAtOnce && w.bytes < batchBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *recordWriter) flush(ctx context.Context) error {
	if err := w.to.ImportRecords(ctx, w.set); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if _, err := w.to.Apply(ctx, w.removed...); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	*w.done += int64(len(w.set) + len(w.removed))
	w.set, w.removed, w.bytes = w.set[:0], w.removed[:0], 0
	return nil
}
