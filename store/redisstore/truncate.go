package redisstore

import (
	"context"
	"errors"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// truncatePage is how many events one script removes: the server does nothing else meanwhile.
const truncatePage = 500

// Truncate implements store.Truncator. A long truncation is made in steps; one that is broken off has removed the oldest
// events only, and has accounted for them.
func (b *Backend) Truncate(ctx context.Context, stream event.StreamID, before event.Version) (int64, error) {
	if err := b.writable(ctx); err != nil {
		return 0, err
	}
	removed, err := b.truncate(ctx, stream, before)
	if err == nil {
		err = b.confirm(ctx)
	}
	return removed, b.explain(ctx, err)
}

func (b *Backend) truncate(ctx context.Context, stream event.StreamID, before event.Version) (removed int64, err error) {
	k := &b.keys
	for {
		r, err := b.run(ctx, b.writes, &b.scripts.truncate,
			[]string{k.meta, k.stream(stream), k.cut, k.ids, k.values + store.TruncatedBucket, k.order + store.TruncatedBucket},
			k.pages, string(stream), int64(before), truncatePage, k.types, k.tags, k.categories+stream.Category(), schema)
		if err != nil {
			return removed, err
		}
		r.array()
		n, again := r.int(), r.int()
		if r.err != nil {
			return removed, r.err
		}
		if n < 0 {
			return 0, store.ErrNotFound
		}
		removed += n
		if again == 0 {
			return removed, nil
		}
	}
}

// Delete implements store.Truncator. The tombstone ends the stream at once; then what was before it is removed, as by
// Truncate, which may be called again if that is broken off.
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
	result, err := b.end(ctx, &c)
	var conflict *store.ConflictError
	if expected.IsAny() && errors.As(err, &conflict) {
		return store.Result{}, store.ErrNotFound // there is nothing to delete
	}
	if err == nil {
		b.committed()
		_, err = b.truncate(ctx, stream, result.Version())
	}
	if err == nil {
		err = b.confirm(ctx)
	}
	if err != nil {
		return store.Result{}, b.explain(ctx, err)
	}
	return result, nil
}

// end appends a commit that ends its stream.
func (b *Backend) end(ctx context.Context, c *store.Commit) (store.Result, error) {
	p := b.planOf([]store.Commit{*c}, true)
	r, err := b.run(ctx, b.writes, &b.scripts.append, p.keys(), p.arguments()...)
	if err != nil {
		return store.Result{}, err
	}
	head, verdicts, err := b.verdicts(p, r)
	if err != nil {
		return store.Result{}, err
	}
	if v := &verdicts[0]; v.code != 0 {
		return store.Result{}, v.complaint(c)
	}
	return store.Result{First: head + 1, Last: head + 1, Versions: verdicts[0].versions}, nil
}
