package mongostore

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const fieldProbe = "probe"

// probeDocument stands in the collection meta for ever, under an index like that of the commits' ids.
func probeDocument() bson.D {
	return bson.D{{Key: fieldID, Value: metaProbe}, {Key: fieldProbe, Value: bson.A{"a", "b"}}}
}

// keepsIDsUnique tries whether the server refuses a second document that has an element of the first one's list. Not
// every server that speaks MongoDB's protocol does.
func (b *Backend) keepsIDsUnique(ctx context.Context) (bool, error) {
	if b.server.ferret != "" {
		return false, nil // it is known, and has no such index
	}
	id := bson.NewObjectID()
	_, err := b.meta.InsertOne(ctx, bson.D{{Key: fieldID, Value: id}, {Key: fieldProbe, Value: bson.A{"b", "c"}}})
	if isDuplicate(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	_, err = b.meta.DeleteOne(ctx, bson.D{{Key: fieldID, Value: id}})
	return false, err
}
