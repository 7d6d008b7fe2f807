// Package mongobaseline is what a MongoDB store is measured against: the same documents in a collection with the same
// indexes, through the bare driver with the same concerns, without any of the store's promises. The bench command uses
// it; programs do not.
package mongobaseline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store/mongostore"
)

// Baseline writes into scratch collections beside a store, and reads the store's own.
type Baseline struct {
	url, database, prefix string

	mu      sync.RWMutex // held for writing while the client is changed
	client  *mongo.Client
	commits *mongo.Collection // the store's
	scratch *mongo.Collection
}

// Open makes the scratch collections anew: those of a store whose prefix is the store's with "_bench" appended.
func Open(ctx context.Context, storeURL string) (*Baseline, error) {
	b := &Baseline{database: "lexigram", prefix: "lexigram"}
	front, rawQuery, _ := strings.Cut(storeURL, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, errors.New("open baseline: the URL has a malformed query")
	}
	if query.Has("prefix") {
		b.prefix = query.Get("prefix")
		query.Del("prefix")
	}
	if _, rest, _ := strings.Cut(front, "://"); strings.Contains(rest, "/") {
		if _, name, _ := strings.Cut(rest, "/"); name != "" {
			b.database = name
		}
	} else {
		front += "/"
	}
	if b.url = front; len(query) > 0 {
		b.url += "?" + query.Encode()
	}
	if err := b.SetPool(ctx, 8); err != nil {
		return nil, err
	}
	if err := b.drop(ctx); err != nil {
		return nil, errors.Join(err, b.client.Disconnect(ctx))
	}
	collections, err := mongostore.Open(ctx, b.url, mongostore.Options{Database: b.database, Prefix: b.prefix + "_bench", AutoMigrate: true})
	if err != nil {
		return nil, errors.Join(err, b.client.Disconnect(ctx))
	}
	return b, collections.Close()
}

func (b *Baseline) drop(ctx context.Context) error {
	for _, name := range []string{"_commits", "_records", "_meta"} {
		if err := b.client.Database(b.database).Collection(b.prefix + "_bench" + name).Drop(ctx); err != nil {
			return fmt.Errorf("drop baseline collection %s: %w", b.prefix+"_bench"+name, err)
		}
	}
	return nil
}

// SetPool sets how many connections insert.
func (b *Baseline) SetPool(ctx context.Context, n int) error {
	if n < 1 || n > 1000 {
		return fmt.Errorf("set pool of baseline %s: %d connections: must be 1 to 1000", b.prefix, n)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(b.url).SetMaxPoolSize(uint64(n)))
	if err != nil {
		return errors.New("open baseline: the URL cannot be used")
	}
	journaled := true
	db := client.Database(b.database, options.Database().SetReadConcern(readconcern.Majority()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled}))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		_ = b.client.Disconnect(ctx)
	}
	b.client, b.commits, b.scratch = client, db.Collection(b.prefix+"_commits"), db.Collection(b.prefix+"_bench_commits")
	return nil
}

// Insert stores the rows, each by one insert of one document. Nothing is checked.
func (b *Baseline) Insert(ctx context.Context, rows []event.Recorded) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for i := range rows {
		if _, err := b.scratch.InsertOne(ctx, document(&rows[i])); err != nil {
			return fmt.Errorf("insert into baseline: %w", err)
		}
	}
	return nil
}

// Bulk stores the rows by one ordered insert of many documents: the fastest way that keeps their order.
func (b *Baseline) Bulk(ctx context.Context, rows []event.Recorded) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	documents := make([]any, len(rows))
	for i := range rows {
		documents[i] = document(&rows[i])
	}
	if _, err := b.scratch.InsertMany(ctx, documents); err != nil {
		return fmt.Errorf("insert into baseline: %w", err)
	}
	return nil
}

// document has the fields of a commit of one event.
func document(e *event.Recorded) bson.D {
	id := bson.Binary{Subtype: bson.TypeBinaryUUID, Data: e.ID[:]}
	one := bson.D{{Key: "type", Value: e.Type}, {Key: "data", Value: string(e.Data)}, {Key: "metadata", Value: string(e.RawMetadata)}}
	if len(e.Tags) > 0 {
		one = append(one, bson.E{Key: "tags", Value: e.Tags})
	}
	one = append(one, bson.E{Key: "occurred", Value: e.OccurredAt.UnixMicro()})
	return bson.D{
		{Key: "_id", Value: int64(e.Position)},
		{Key: "last", Value: int64(e.Position)},
		{Key: "commit", Value: id},
		{Key: "recorded", Value: e.RecordedAt.UnixMicro()},
		{Key: "stream", Value: string(e.Stream)},
		{Key: "category", Value: e.Stream.Category()},
		{Key: "from", Value: int64(e.Version)},
		{Key: "to", Value: int64(e.Version)},
		{Key: "ids", Value: bson.A{id}},
		{Key: "events", Value: bson.A{one}},
	}
}

// Read reads the store's own commits in the order of their positions, and of each walks over its fields and the fields
// of its events, and makes nothing of them. It returns the number of events.
func (b *Baseline) Read(ctx context.Context) (int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	cursor, err := b.commits.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return 0, fmt.Errorf("read baseline: %w", err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	var total int64
	for cursor.Next(ctx) {
		fields, err := cursor.Current.Elements()
		if err != nil {
			return total, fmt.Errorf("read baseline: %w", err)
		}
		for _, field := range fields {
			if field.Key() != "events" {
				continue
			}
			events, err := field.Value().Array().Values()
			if err != nil {
				return total, fmt.Errorf("read baseline: %w", err)
			}
			for _, e := range events {
				if err := e.Document().Validate(); err != nil {
					return total, fmt.Errorf("read baseline: %w", err)
				}
				total++
			}
		}
	}
	if err := cursor.Err(); err != nil {
		return total, fmt.Errorf("read baseline: %w", err)
	}
	return total, nil
}

// Close drops the scratch collections.
func (b *Baseline) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx := context.Background()
	return errors.Join(b.drop(ctx), b.client.Disconnect(ctx))
}
