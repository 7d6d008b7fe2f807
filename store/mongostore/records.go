package mongostore

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/store"
)

// recordDoc is a record's document.
type recordDoc struct {
	ID       string `bson:"_id"`
	Revision int64  `bson:"revision"` // 0: only claimed
	Value    []byte `bson:"value"`
	Expires  int64  `bson:"expires"` // 0: never
}

// live reports whether the record is there at a time.
func (d *recordDoc) live(now time.Time) bool {
	return d.Revision > 0 && (d.Expires == 0 || now.UnixMicro() < d.Expires)
}

func (d *recordDoc) record() store.Record {
	r := store.Record{Value: d.Value, Revision: store.Revision(d.Revision)}
	r.Bucket, r.Key = splitKey(d.ID)
	if d.Expires != 0 {
		r.ExpiresAt = time.UnixMicro(d.Expires).UTC()
	}
	return r
}

// Get implements store.KV.
func (b *Backend) Get(ctx context.Context, bucket, key string) (store.Record, error) {
	if err := b.usable(ctx); err != nil {
		return store.Record{}, err
	}
	ctx, done, err := b.settled(ctx)
	if err != nil {
		return store.Record{}, err
	}
	defer done()
	var doc recordDoc
	err = b.records.FindOne(ctx, bson.D{{Key: fieldID, Value: recordKey(bucket, key)}}).Decode(&doc)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return store.Record{}, store.ErrNotFound
	case err != nil:
		return store.Record{}, translate(ctx, err)
	case !doc.live(b.clock.now()):
		return store.Record{}, store.ErrNotFound
	}
	return doc.record(), nil
}

// settled makes sure that all batches that were done before are carried out. What is read in the context it gives
// includes them.
func (b *Backend) settled(ctx context.Context) (context.Context, func(), error) {
	b.clock.tick(ctx, b.db)
	ctx, done, err := b.causal(ctx)
	if err != nil {
		return nil, nil, err
	}
	pending, err := b.pendingBatch(ctx)
	if err == nil && pending != nil {
		err = b.carryOut(ctx, pending)
	}
	if err != nil {
		done()
		return nil, nil, b.closedOr(ctx, err)
	}
	return ctx, done, nil
}

// Scan implements store.KV.
func (b *Backend) Scan(ctx context.Context, r store.Scan) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := b.usable(ctx); err != nil {
			yield(store.Record{}, err)
			return
		}
		ctx, done, err := b.settled(ctx)
		if err != nil {
			yield(store.Record{}, err)
			return
		}
		defer done()
		left := r.Limit
		err = b.scanRecords(ctx, r, func(doc *recordDoc) bool {
			if !yield(doc.record(), nil) {
				return false
			}
			left--
			return left != 0
		})
		if err != nil {
			yield(store.Record{}, b.closedOr(ctx, err))
		}
	}
}

// scanRecords gives the live records of a range until fn returns false. A cursor that the server has given up is opened
// again where it was.
func (b *Backend) scanRecords(ctx context.Context, r store.Scan, fn func(doc *recordDoc) bool) error {
	direction := 1
	if r.Backwards {
		direction = -1
	}
	o := options.Find().SetSort(bson.D{{Key: fieldID, Value: direction}})
	if r.Limit > 0 {
		o.SetBatchSize(int32(min(r.Limit, firstBatchSize))) //nolint:gosec // small
	}
	filter := keyRange(r)
	for {
		cursor, err := b.records.Find(ctx, filter, o)
		err = drain(ctx, cursor, err, func(raw bson.Raw) error {
			if err := b.open(ctx); err != nil {
				return err
			}
			var doc recordDoc
			if err := bson.Unmarshal(raw, &doc); err != nil {
				return corrupt("a record cannot be read: %w", err)
			}
			passed := bson.D{{Key: fieldID, Value: bson.D{{Key: "$gt", Value: doc.ID}}}}
			if r.Backwards {
				passed = bson.D{{Key: fieldID, Value: bson.D{{Key: "$lt", Value: doc.ID}}}}
			}
			filter = bson.D{{Key: "$and", Value: bson.A{keyRange(r), passed}}}
			if doc.live(b.clock.now()) && !fn(&doc) {
				return errFound
			}
			return nil
		})
		switch {
		case isLostCursor(err):
		case errors.Is(err, errFound):
			return nil
		default:
			return err
		}
	}
}

// current gives the documents of some records, by _id.
func (b *Backend) current(ctx context.Context, ids []string) (map[string]*recordDoc, error) {
	found := make(map[string]*recordDoc, len(ids))
	for chunk := range slices.Chunk(ids, maxIDs) {
		cursor, err := b.records.Find(ctx, bson.D{{Key: fieldID, Value: oneOf(chunk)}}, options.Find().SetProjection(bson.D{{Key: fieldValue, Value: 0}}))
		err = drain(ctx, cursor, err, func(raw bson.Raw) error {
			var doc recordDoc
			if err := bson.Unmarshal(raw, &doc); err != nil {
				return corrupt("a record cannot be read: %w", err)
			}
			found[doc.ID] = &doc
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
