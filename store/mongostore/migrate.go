package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/store"
)

// The documents of the collection meta, by _id, and their fields.
const (
	metaStore   = "store"   // whose collections these are, and their version
	metaRecords = "records" // the newest batch of records; see journal.go
	metaProbe   = "probe"   // see probe.go

	fieldProgram = "program"
	fieldVersion = "schema"

	program = "lexigram.dev/events"
)

// schemaVersion is the newest one.
const schemaVersion = 1

// migrationNames are the steps from one version to the next.
func migrationNames() []string { return []string{"commits, records and their indexes"} }

func incompatible(format string, args ...any) error {
	return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf(format, args...)}
}

// check makes sure that the server and the store are such as this program works with, migrating if so asked.
func (b *Backend) check(ctx context.Context) error {
	s, err := askServer(ctx, b.db, &b.clock)
	if err != nil {
		return err
	}
	b.server = s
	number, err := b.schemaNumber(ctx)
	switch {
	case b.options.Pending || err == nil && number == schemaVersion:
		return err
	case err != nil:
		return err
	case number > schemaVersion:
		return incompatible("the store is of version %d, this program knows up to %d: use a newer program", number, schemaVersion)
	case !b.options.AutoMigrate && number == 0:
		return incompatible("database %s holds no store with prefix %s: run `lexevents migrate up --store …`", b.options.Database, b.options.Prefix)
	case !b.options.AutoMigrate:
		return incompatible("the store is of version %d, needed is %d: run `lexevents migrate up --store …`", number, schemaVersion)
	}
	_, err = b.migrate(ctx, s)
	return err
}

// schemaNumber gives the version of the store; 0 where there is none. Collections of ours that another program has made
// are an error.
func (b *Backend) schemaNumber(ctx context.Context) (int, error) {
	var doc struct {
		Program string `bson:"program"`
		Schema  int    `bson:"schema"`
	}
	err := b.meta.FindOne(ctx, bson.D{{Key: fieldID, Value: metaStore}}).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, b.checkVacant(ctx)
	}
	if err != nil {
		return 0, err
	}
	if doc.Program != program {
		return 0, b.foreign(b.meta.Name())
	}
	return doc.Schema, nil
}

// checkVacant makes sure that nobody else uses the names of our collections.
func (b *Backend) checkVacant(ctx context.Context) error {
	for _, c := range []*mongo.Collection{b.meta, b.commits, b.records} {
		err := c.FindOne(ctx, bson.D{}, options.FindOne().SetProjection(bson.D{{Key: fieldID, Value: 1}})).Err()
		switch {
		case err == nil && c == b.meta: // perhaps made a moment ago, by a process that migrates at the same time
			if err := b.meta.FindOne(ctx, bson.D{{Key: fieldID, Value: metaStore}}).Err(); err == nil {
				return nil
			}
			return b.foreign(c.Name())
		case err == nil:
			return b.foreign(c.Name())
		case !errors.Is(err, mongo.ErrNoDocuments):
			return err
		}
	}
	return nil
}

func (b *Backend) foreign(collection string) error {
	return incompatible("collection %s of database %s holds another program's data: use another database or prefix", collection, b.options.Database)
}

// Migrations implements store.Migrator.
func (b *Backend) Migrations(ctx context.Context) ([]store.Migration, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	number, err := b.schemaNumber(ctx)
	if err != nil {
		return nil, translate(ctx, err)
	}
	var list []store.Migration
	for i, name := range migrationNames() {
		list = append(list, store.Migration{Number: i + 1, Name: name, Applied: i < number})
	}
	return list, nil
}

// Migrate implements store.Migrator. Its steps may be done twice and by several processes at once: indexes that exist
// are not made again, and only one process counts the version up.
func (b *Backend) Migrate(ctx context.Context) ([]store.Migration, error) {
	if b.options.ReadOnly {
		return nil, readOnly()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-b.closing:
		return nil, store.ErrClosed
	default:
	}
	s, err := askServer(ctx, b.db, &b.clock)
	if err != nil {
		return nil, translate(ctx, err)
	}
	applied, err := b.migrate(ctx, s)
	return applied, translate(ctx, err)
}

func (b *Backend) migrate(ctx context.Context, s server) ([]store.Migration, error) {
	number, err := b.schemaNumber(ctx)
	if err != nil || number >= schemaVersion {
		if number > schemaVersion {
			err = incompatible("the store is of version %d, this program knows up to %d: use a newer program", number, schemaVersion)
		}
		return nil, err
	}
	if number == 0 {
		mark := bson.D{{Key: fieldID, Value: metaStore}, {Key: fieldProgram, Value: program}, {Key: fieldVersion, Value: 0}, {Key: "created", Value: time.Now().UTC()}}
		if err := insertOnce(ctx, b.meta, mark); err != nil {
			return nil, err
		}
	}
	if s.ferret == "" {
		if err := b.makeIndexes(ctx); err != nil {
			return nil, err
		}
	}
	for _, doc := range []bson.D{firstBatch(), probeDocument()} {
		if err := insertOnce(ctx, b.meta, doc); err != nil {
			return nil, err
		}
	}
	res, err := b.meta.UpdateOne(ctx, bson.D{{Key: fieldID, Value: metaStore}, {Key: fieldVersion, Value: 0}},
		bson.D{{Key: "$set", Value: bson.D{{Key: fieldVersion, Value: 1}}}})
	if err != nil || res.MatchedCount == 0 {
		return nil, err
	}
	return []store.Migration{{Number: 1, Name: migrationNames()[0], Applied: true}}, nil
}

// makeIndexes is not for FerretDB: it does not use them, and refuses documents in which an indexed list is long.
func (b *Backend) makeIndexes(ctx context.Context) error {
	for collection, models := range b.indexes() {
		if _, err := collection.Indexes().CreateMany(ctx, models); err != nil {
			return fmt.Errorf("make the indexes of %s: %w", collection.Name(), err)
		}
	}
	return nil
}

// insertOnce inserts a document unless it is there.
func insertOnce(ctx context.Context, c *mongo.Collection, doc bson.D) error {
	if _, err := c.InsertOne(ctx, doc); err != nil && !isDuplicate(err) {
		return err
	}
	return nil
}
