package mongostore

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/store"
)

// ImportRecords implements store.Importer. It goes the way of all batches of records, but with revisions that are given:
// those may be lower than of what others carry out late, so nobody else should write these records meanwhile.
func (b *Backend) ImportRecords(ctx context.Context, records []store.Record) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	size := 0
	for i := range records {
		size += len(records[i].Value) + len(records[i].Bucket) + len(records[i].Key) + opOverhead
	}
	if size > b.server.maxBytes {
		return tooLarge("size of the batch of records", size, b.server.maxBytes)
	}
	_, err := b.batch.submit(ctx, &application{imports: records, size: size, done: make(chan struct{})})
	return err
}

// take sets records as they are, all or none.
func (e *evaluation) take(records []store.Record) outcome {
	for i := range records {
		r := &records[i]
		if actual := e.revision(recordKey(r.Bucket, r.Key)); store.Revision(actual) > r.Revision {
			return outcome{err: &store.RevisionError{Bucket: r.Bucket, Key: r.Key, Expected: r.Revision, Actual: store.Revision(actual)}}
		}
	}
	for i := range records {
		r := &records[i]
		id := recordKey(r.Bucket, r.Key)
		if e.revision(id) == int64(r.Revision) {
			continue // it is here
		}
		s := &state{by: int64(r.Revision), revision: int64(r.Revision), value: r.Value}
		if !r.ExpiresAt.IsZero() {
			s.expires = r.ExpiresAt.UnixMicro()
		}
		if e.states[id] == nil {
			e.order = append(e.order, id)
		}
		e.states[id] = s
		e.last = max(e.last, int64(r.Revision))
	}
	return outcome{}
}

// firstKey asks for the lowest _id alone.
func firstKey() *options.FindOneOptionsBuilder {
	return options.FindOne().SetSort(bson.D{{Key: fieldID, Value: 1}}).SetProjection(bson.D{{Key: fieldID, Value: 1}})
}
