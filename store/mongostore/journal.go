package mongostore

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/event"
)

// One document holds the newest batch of records: its last revision, and what it does. Replacing it, if it still is the
// one against which the next batch was checked, is the moment at which the next batch is done. It is replaced only after
// what it says was carried out, so at most one batch is not.
//
// Carrying out may be interrupted, and several may do it at once, or one of them very late. That must change nothing:
//
//   - A put sets a record only if its revision is lower than the put's; a deletion removes it only if so.
//   - A put never makes a document, or a late one would bring a record back that was deleted meanwhile. So before a batch
//     is done, whoever makes it claims the records that may not be there when it is carried out: they are made without a
//     revision, or marked, with the id of the batch, and its put finds them by that. A claim is taken away by the first
//     put, and never by the sweeping of expired records. One that was made in vain changes nothing for others, who see
//     no record there.
type batchDoc struct {
	Last  int64       `bson:"last"`
	Done  bool        `bson:"done"` // carried out
	Batch bson.Binary `bson:"batch"`
	Ops   []change    `bson:"ops"`
}

// change is what a batch does to one record.
type change struct {
	ID       string `bson:"id"`
	Revision int64  `bson:"revision"`
	Delete   bool   `bson:"delete,omitempty"`
	Value    []byte `bson:"value"`
	Expires  int64  `bson:"expires,omitempty"`
}

const (
	fieldDone  = "done"
	fieldBatch = "batch"
	fieldOps   = "ops"
)

func firstBatch() bson.D {
	return bson.D{{Key: fieldID, Value: metaRecords}, {Key: fieldLast, Value: int64(0)}, {Key: fieldDone, Value: true}}
}

// pendingBatch gives the newest batch if it is not carried out; else nil.
func (b *Backend) pendingBatch(ctx context.Context) (*batchDoc, error) {
	return b.findBatch(ctx, bson.D{{Key: fieldID, Value: metaRecords}, {Key: fieldDone, Value: false}})
}

func (b *Backend) findBatch(ctx context.Context, filter bson.D) (*batchDoc, error) {
	var doc batchDoc
	err := b.meta.FindOne(ctx, filter).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &doc, nil
}

// carryOut does what a batch says.
func (b *Backend) carryOut(ctx context.Context, batch *batchDoc) error {
	models := make([]mongo.WriteModel, len(batch.Ops))
	for i, op := range batch.Ops {
		older := bson.D{{Key: fieldRevision, Value: bson.D{{Key: "$lt", Value: op.Revision}}}}
		if op.Delete {
			models[i] = mongo.NewDeleteOneModel().SetFilter(append(bson.D{{Key: fieldID, Value: op.ID}}, older...))
			continue
		}
		set := bson.D{{Key: fieldRevision, Value: op.Revision}, {Key: fieldValue, Value: bson.Binary{Data: op.Value}}}
		unset := bson.D{{Key: fieldClaims, Value: ""}}
		if op.Expires != 0 {
			set = append(set, bson.E{Key: fieldExpires, Value: op.Expires})
		} else {
			unset = append(unset, bson.E{Key: fieldExpires, Value: ""})
		}
		models[i] = mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: fieldID, Value: op.ID}, {Key: "$or", Value: bson.A{older, bson.D{{Key: fieldClaims, Value: batch.Batch}}}}}).
			SetUpdate(bson.D{{Key: "$set", Value: set}, {Key: "$unset", Value: unset}})
	}
	if err := b.bulkWrite(ctx, models); err != nil {
		return err
	}
	_, err := b.meta.UpdateOne(ctx, bson.D{{Key: fieldID, Value: metaRecords}, {Key: fieldBatch, Value: batch.Batch}},
		bson.D{{Key: "$set", Value: bson.D{{Key: fieldDone, Value: true}, {Key: fieldOps, Value: bson.A{}}}}})
	return err
}

// claim makes sure that the batch's puts find the records, and that nobody sweeps them away before: those that are
// missing are made, the others marked.
func (b *Backend) claim(ctx context.Context, batch bson.Binary, missing, there []string) error {
	if len(missing) > 0 {
		docs := make([]bson.D, len(missing))
		for i, id := range missing {
			docs[i] = bson.D{{Key: fieldID, Value: id}, {Key: fieldClaims, Value: bson.A{batch}}}
		}
		_, err := b.records.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
		if isDuplicate(err) { // another process has made some
			there, err = slices.Concat(missing, there), nil
		}
		if err != nil {
			return err
		}
	}
	models := make([]mongo.WriteModel, len(there))
	for i, id := range there {
		models[i] = mongo.NewUpdateOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: fieldID, Value: id}}).
			SetUpdate(bson.D{{Key: "$addToSet", Value: bson.D{{Key: fieldClaims, Value: batch}}}})
	}
	return b.bulkWrite(ctx, models)
}

// updatesAtOnce bounds a command, since FerretDB holds a connection to its database for each update of a command, and
// waits for ever when it has no more. Its pool has 50.
const (
	updatesAtOnce       = 100
	updatesAtOnceFerret = 20
)

func (b *Backend) bulkWrite(ctx context.Context, models []mongo.WriteModel) error {
	size := updatesAtOnce
	if b.server.ferret != "" {
		size = updatesAtOnceFerret
	}
	for chunk := range slices.Chunk(models, size) {
		if _, err := b.records.BulkWrite(ctx, chunk, options.BulkWrite().SetOrdered(false)); err != nil {
			return err
		}
	}
	return nil
}

// replaceBatch is the moment at which the batch is done, if last still is the newest revision.
func (b *Backend) replaceBatch(ctx context.Context, last int64, next *batchDoc) (bool, error) {
	res, err := b.meta.UpdateOne(ctx,
		bson.D{{Key: fieldID, Value: metaRecords}, {Key: fieldLast, Value: last}, {Key: fieldDone, Value: true}},
		bson.D{{Key: "$set", Value: bson.D{
			{Key: fieldLast, Value: next.Last}, {Key: fieldDone, Value: false}, {Key: fieldBatch, Value: next.Batch}, {Key: fieldOps, Value: next.Ops},
		}}})
	if err != nil {
		return false, err
	}
	return res.MatchedCount > 0, nil
}

func newBatchID() bson.Binary {
	id := event.NewID()
	return bson.Binary{Subtype: uuid, Data: id[:]}
}
