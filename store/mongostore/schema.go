package mongostore

import (
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The fields of a commit's document. A commit's first part stands at the top, so that plain indexes serve the common
// case; the parts that go to further streams stand in "more", and their streams and categories in "also", by which they
// are found. Categories hold no dash and streams do, so both fit into one list.
const (
	fieldID       = "_id"      // position of the first event: int64
	fieldLast     = "last"     // position of the last event: int64
	fieldCommit   = "commit"   // id of this attempt to append: binary
	fieldRecorded = "recorded" // microseconds since 1970: int64
	fieldRewrites = "rewrites" // how often events were removed from the document; absent: never

	fieldStream   = "stream" // of the first part
	fieldCategory = "category"
	fieldFrom     = "from" // versions of the part's first and last event
	fieldTo       = "to"
	fieldAt       = "at"      // in parts: offset of the part's first event in the commit; in events: the event's own. Absent: as counted
	fieldDeleted  = "deleted" // true: the event is a tombstone
	fieldMore     = "more"    // further parts: {stream, from, to, at}
	fieldAlso     = "also"    // their streams and categories

	fieldIDs    = "ids"    // of the events, in their order: UUIDs
	fieldEvents = "events" // {type, data, …}, those of truncated streams left out

	fieldType     = "type"
	fieldData     = "data"     // text where it is valid UTF-8, else binary
	fieldMetadata = "metadata" // JSON text; absent: {}
	fieldTags     = "tags"     // absent: none
	fieldSchema   = "schema"   // absent: 1
	fieldContent  = "content"  // absent: application/json
	fieldOccurred = "occurred" // microseconds since 1970: int64
)

// The fields of a record's document. Its _id is the bucket, the byte 1, which names cannot hold, and the key.
const (
	fieldRevision = "revision" // absent: the document is only claimed
	fieldValue    = "value"
	fieldExpires  = "expires" // microseconds since 1970; absent: never
	fieldClaims   = "claims"  // ids of the batches that may be about to set it
)

// collections are those of one store.
type collections struct {
	commits, records, meta *mongo.Collection
}

func newCollections(db *mongo.Database, prefix string) collections {
	return collections{
		commits: db.Collection(prefix + "_commits"),
		records: db.Collection(prefix + "_records"),
		meta:    db.Collection(prefix + "_meta"),
	}
}

// indexes of schema 1. Beside them there is the one of _id.
func (c collections) indexes() map[*mongo.Collection][]mongo.IndexModel {
	by := func(name string, fields ...string) mongo.IndexModel {
		keys := bson.D{}
		for _, f := range fields {
			keys = append(keys, bson.E{Key: f, Value: 1})
		}
		return mongo.IndexModel{Keys: keys, Options: options.Index().SetName(name)}
	}
	unique := by("ids", fieldIDs) // sparse: documents without ids are shells of truncated commits
	unique.Options.SetUnique(true).SetSparse(true)
	probe := by("probe", fieldProbe)
	probe.Options.SetUnique(true).SetSparse(true)
	expiry := by("expires", fieldExpires)
	expiry.Options.SetSparse(true)
	return map[*mongo.Collection][]mongo.IndexModel{
		c.commits: {
			unique,
			by("stream", fieldStream, fieldTo),
			by("category", fieldCategory, fieldID),
			by("also", fieldAlso, fieldID),
			by("type", fieldEvents+"."+fieldType, fieldID),
			by("tags", fieldEvents+"."+fieldTags, fieldID),
		},
		c.records: {expiry},
		c.meta:    {probe},
	}
}
