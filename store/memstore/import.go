package memstore

import (
	"context"
	"maps"
	"slices"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Import implements store.Importer.
func (b *Backend) Import(ctx context.Context, after event.Position, events []event.Recorded) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return err
	}
	if head := b.log.head(); head != after {
		return &store.HeadError{Expected: after, Actual: head}
	}
	streams := store.ImportedStreams(events)
	truncates := make([]bool, len(streams))
	for i := range streams {
		var err error
		s := b.streams[streams[i].Stream]
		if truncates[i], err = streams[i].Follows(s.version(), s != nil && s.deleted); err != nil {
			return err
		}
	}
	for i := range events {
		if p := b.ids.find(events[i].ID); p > 0 {
			return &store.IDReusedError{ID: events[i].ID, Stream: b.log.at(p).stream.name, Position: p, Reason: "it comes again at another position"}
		}
	}
	for i := range streams {
		b.beginImport(&streams[i], truncates[i])
	}
	for i := range events {
		b.addImported(&events[i])
	}
	b.wake()
	return nil
}

// beginImport makes a stream ready to go on at its first imported version.
func (b *Backend) beginImport(imported *store.ImportedStream, truncates bool) {
	s := b.stream(imported.Stream)
	s.deleted = imported.Deleted
	if !truncates {
		return
	}
	for _, p := range s.positions {
		b.erase(p)
	}
	b.countRemoved(imported.Stream, int64(imported.First-s.first))
	s.positions, s.first = nil, imported.First
}

// addImported adds an event at its position; those before it that are missing were removed in the source.
func (b *Backend) addImported(from *event.Recorded) {
	for b.log.head() < from.Position-1 {
		b.log.next()
	}
	s := b.stream(from.Stream)
	s.positions = append(s.positions, from.Position)
	e := b.log.next()
	e.id, e.stream, e.version = from.ID, s, from.Version
	e.kind = b.log.kind(kind{name: from.Type, schemaVersion: from.SchemaVersion, contentType: from.ContentType})
	e.occurredAt, e.recordedAt = from.OccurredAt.UnixMicro(), from.RecordedAt.UnixMicro()
	e.setTags(from.Tags)
	b.log.keep(e, from.Data, from.RawMetadata)
	b.ids.add(e.id, from.Position)
}

// ImportRecords implements store.Importer.
func (b *Backend) ImportRecords(ctx context.Context, records []store.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return err
	}
	for _, r := range records {
		if old, _ := b.record(r.Bucket, r.Key); old.Revision > r.Revision {
			return &store.RevisionError{Bucket: r.Bucket, Key: r.Key, Expected: r.Revision, Actual: old.Revision}
		}
	}
	for _, r := range records {
		r.Value = append([]byte{}, r.Value...)
		b.restore(r.Bucket, r.Key, r, true)
		b.revision = max(b.revision, r.Revision)
	}
	return nil
}

// Buckets implements store.BucketLister.
func (b *Backend) Buckets(ctx context.Context) ([]string, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(b.buckets)), nil
}
