package mongostore

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// importer is what a Backend remembers from one import to the next.
type importer struct {
	mu       sync.Mutex     // one import at a time
	asked    bool           // checkIDs is known
	checkIDs bool           // the server does not keep ids unique
	known    bool           // what follows is known
	head     event.Position // where the log ended after the last import
	versions versions       // of streams, there
}

// Import implements store.Importer. It inserts documents, each at the place right after the one before: so the unique _id
// makes of the whole import what it makes of an append, a compare-and-set on the log, document by document.
func (b *Backend) Import(ctx context.Context, after event.Position, events []event.Recorded) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	ctx, done, err := b.causal(ctx)
	if err != nil {
		return err
	}
	defer done()
	m := &b.imports
	m.mu.Lock()
	defer m.mu.Unlock()
	truncated, err := b.importEvents(ctx, after, events)
	if err != nil {
		m.known = false
		return translate(ctx, err)
	}
	b.wake.grown()
	for _, s := range truncated {
		if _, err := b.truncate(ctx, s.Stream, s.First); err != nil {
			return translate(ctx, err)
		}
	}
	return nil
}

// importEvents gives the streams that the source has truncated.
func (b *Backend) importEvents(ctx context.Context, after event.Position, events []event.Recorded) ([]store.ImportedStream, error) {
	m := &b.imports
	if err := b.beginImport(ctx, after, events); err != nil {
		return nil, err
	}
	streams := store.ImportedStreams(events)
	truncated, err := b.follow(ctx, streams)
	if err != nil {
		return nil, err
	}
	docs, places, err := b.importDocs(after, events)
	if err != nil {
		return nil, err
	}
	if _, err := b.commits.InsertMany(ctx, docs); err != nil {
		return nil, b.explainImport(ctx, err, places)
	}
	m.head = events[len(events)-1].Position
	for i := range streams {
		m.versions.set(streams[i].Stream, tail{version: streams[i].Last, deleted: streams[i].Deleted})
	}
	b.saw(m.head)
	return truncated, nil
}

// beginImport makes sure that the log ends at a position, and that no id is taken where the server does not.
func (b *Backend) beginImport(ctx context.Context, after event.Position, events []event.Recorded) error {
	m := &b.imports
	if !m.asked {
		unique, err := b.keepsIDsUnique(ctx)
		if err != nil {
			return err
		}
		m.asked, m.checkIDs = true, !unique
	}
	if !m.known || m.head != after {
		head, err := b.newest(ctx)
		if err != nil {
			return err
		}
		if head != after {
			return &store.HeadError{Expected: after, Actual: head}
		}
		m.known, m.head, m.versions = true, head, versions{limit: rememberedStreams, complete: head == 0}
	}
	if !m.checkIDs {
		return nil
	}
	ids := make([]bson.Binary, len(events))
	for i := range events {
		ids[i] = bson.Binary{Subtype: uuid, Data: events[i].ID[:]}
	}
	found, err := b.commits.CountDocuments(ctx, bson.D{{Key: fieldIDs, Value: bson.D{{Key: "$in", Value: ids}}}})
	if err == nil && found > 0 {
		err = errImportedID
	}
	return err
}

var errImportedID = &kindError{kind: store.ErrIDReused, err: errors.New("an id of the import is stored at another position")}

// follow holds the streams against what is stored, and gives those that the source has truncated.
func (b *Backend) follow(ctx context.Context, streams []store.ImportedStream) ([]store.ImportedStream, error) {
	m := &b.imports
	var unknown []event.StreamID
	for i := range streams {
		if _, known := m.versions.get(streams[i].Stream); !known {
			unknown = append(unknown, streams[i].Stream)
		}
	}
	found := map[event.StreamID]tail{}
	if len(unknown) > 0 {
		var err error
		if found, err = b.writer.tails(ctx, unknown); err != nil {
			return nil, err
		}
	}
	var truncated []store.ImportedStream
	for i := range streams {
		t, known := m.versions.get(streams[i].Stream)
		if !known {
			t = found[streams[i].Stream]
		}
		truncates, err := streams[i].Follows(t.version, t.deleted)
		if err != nil {
			return nil, err
		}
		if truncates {
			truncated = append(truncated, streams[i])
		}
	}
	return truncated, nil
}

// explainImport says why an insert ended at a document: its place was taken, or an id.
func (b *Backend) explainImport(ctx context.Context, err error, places []event.Position) error {
	var bulk mongo.BulkWriteException
	switch {
	case isTransient(err):
		return errUnknown("import", err)
	case !isDuplicate(err) || !errors.As(err, &bulk) || len(bulk.WriteErrors) == 0 || bulk.WriteErrors[0].Index >= len(places):
		return err
	}
	place := places[bulk.WriteErrors[0].Index]
	head, lookup := b.newest(ctx)
	switch {
	case lookup != nil:
		return lookup
	case head >= place:
		return &store.HeadError{Expected: place - 1, Actual: head}
	}
	return errImportedID
}

// The bounds of one document of an import.
const (
	importDocEvents = 1000
	importDocBytes  = 1 << 20
)

// importDocs makes the documents, and gives their places. Events that were recorded together stay together, as far as a
// document can hold them; positions that the source has lost become documents without events, as truncation leaves them.
func (b *Backend) importDocs(after event.Position, events []event.Recorded) (docs []any, places []event.Position, err error) {
	add := func(doc bson.Raw, place event.Position) error {
		if len(doc) > b.server.maxBytes {
			return tooLarge("size of the document at position "+strconv.FormatInt(int64(place), 10), len(doc), b.server.maxBytes)
		}
		docs, places = append(docs, doc), append(places, place)
		return nil
	}
	for len(events) > 0 {
		if first := events[0].Position; first > after+1 {
			if err := add(shell(after+1, first-1, events[0].RecordedAt), after+1); err != nil {
				return nil, nil, err
			}
		}
		n := together(events)
		if err := add(encodeImported(events[:n]), events[0].Position); err != nil {
			return nil, nil, err
		}
		after, events = events[n-1].Position, events[n:]
	}
	return docs, places, nil
}

// together gives how many of the first events can be one document.
func together(events []event.Recorded) int {
	seen := map[event.StreamID]bool{events[0].Stream: true}
	size := len(events[0].Data)
	for n := 1; n < min(len(events), importDocEvents); n++ {
		e, previous := &events[n], &events[n-1]
		size += len(e.Data) + len(e.RawMetadata)
		switch {
		case e.Position != previous.Position+1, !e.RecordedAt.Equal(previous.RecordedAt), size > importDocBytes,
			e.IsTombstone(), previous.IsTombstone(), // a tombstone is alone
			e.Stream != previous.Stream && seen[e.Stream]: // a stream is one part
			return n
		}
		seen[e.Stream] = true
	}
	return min(len(events), importDocEvents)
}

// shell is a document that keeps the places of events that are gone.
func shell(first, last event.Position, recorded time.Time) bson.Raw {
	id := event.NewID()
	start, b := bsoncore.AppendDocumentStart(nil)
	b = bsoncore.AppendInt64Element(b, fieldID, int64(first))
	b = bsoncore.AppendInt64Element(b, fieldLast, int64(last))
	b = bsoncore.AppendBinaryElement(b, fieldCommit, uuid, id[:])
	b = bsoncore.AppendInt64Element(b, fieldRecorded, recorded.UnixMicro())
	b = bsoncore.AppendInt64Element(b, fieldRewrites, 1)
	return bson.Raw(end(b, start))
}

// encodeImported makes the document of events that are together.
func encodeImported(events []event.Recorded) bson.Raw {
	var c store.Commit
	var before []event.Version
	for i := range events {
		e := &events[i]
		if n := len(c.Appends); n == 0 || c.Appends[n-1].Stream != e.Stream {
			c.Appends = append(c.Appends, store.Append{Stream: e.Stream})
			before = append(before, e.Version-1)
		}
		part := &c.Appends[len(c.Appends)-1]
		part.Events = append(part.Events, event.Pending{
			ID: e.ID, Type: e.Type, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType, Data: e.Data, Tags: e.Tags, OccurredAt: e.OccurredAt,
		})
	}
	return encodeWith(&c, event.NewID(), events[0].Position, events[0].RecordedAt, before, func(b []byte) []byte {
		array, b := bsoncore.AppendArrayElementStart(b, fieldEvents)
		n := 0
		for i := range c.Appends {
			for j := range c.Appends[i].Events {
				var doc int32
				doc, b = bsoncore.AppendDocumentElementStart(b, strconv.Itoa(n))
				b = end(appendEvent(b, &c.Appends[i].Events[j], events[n].RawMetadata), doc)
				n++
			}
		}
		return end(b, array)
	})
}

// Buckets implements store.BucketLister. It leaps from bucket to bucket.
func (b *Backend) Buckets(ctx context.Context) ([]string, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	ctx, done, err := b.settled(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var buckets []string
	for from := ""; ; {
		var doc recordDoc
		filter := bson.D{{Key: fieldID, Value: bson.D{{Key: "$gte", Value: from}}}}
		err := b.records.FindOne(ctx, filter, firstKey()).Decode(&doc)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return buckets, nil
		}
		if err != nil {
			return nil, translate(ctx, err)
		}
		bucket, _ := splitKey(doc.ID)
		buckets = append(buckets, bucket)
		from = bucket + "\x02" // after all keys of the bucket
	}
}
