package store

import (
	"context"
	"fmt"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
)

// Importer is a backend that can take over what another one holds, as it is. Package migrate copies logs with it.
type Importer interface {
	// Import appends events verbatim: positions, versions, ids, both times, metadata byte for byte. The log must end at
	// position after, else the error is a *HeadError and nothing is stored. Positions that are left out are those of
	// events that the source has lost by truncation; they are accounted in TruncatedBucket, and never given out.
	//
	// A stream goes on where it ended here. If versions are missing in between, or before the first, the source has
	// truncated it there, and so does the import: what it held before is removed.
	//
	// An import that fails may have stored its first events: never one without those before it. Head tells.
	Import(ctx context.Context, after event.Position, events []event.Recorded) error

	// ImportRecords sets records as they are, their revisions and expiry included, all or none; later revisions are
	// greater than all of them. A record that is here with a greater revision gives a *RevisionError.
	ImportRecords(ctx context.Context, records []Record) error
}

// BucketLister is a backend that can name the buckets that hold records.
type BucketLister interface {
	// Buckets gives their names in byte order. Those whose last record is gone may be among them.
	Buckets(ctx context.Context) ([]string, error)
}

// HeadError says that a log did not end where an import was to go on. It is an ErrConflict.
type HeadError struct{ Expected, Actual event.Position }

// Error implements error.
func (e *HeadError) Error() string {
	return fmt.Sprintf("conflict: expected the log to end at position %d, it ends at %d", e.Expected, e.Actual)
}

// ErrorCode implements errcode.Coded.
func (*HeadError) ErrorCode() errcode.Code { return errcode.Conflict }

// Is makes errors.Is(err, ErrConflict) true.
func (e *HeadError) Is(target error) bool { return target == ErrConflict }

// Import appends events of another log as they are; see [Importer]. They are checked like those of a commit, and an error
// names the position of the one at fault: then nothing is stored. Inline hooks are not called. A backend that cannot
// import gives ErrUnsupported.
func (s *Store) Import(ctx context.Context, after event.Position, events []event.Recorded) error {
	importer, ok := s.backend.(Importer)
	err := ErrUnsupported
	if ok {
		if err = s.limits.checkImport(after, events); err == nil {
			err = importer.Import(ctx, after, events)
		}
	}
	if err != nil {
		return fmt.Errorf("import %d events after position %d: %w", len(events), after, err)
	}
	return nil
}

// ImportRecords sets records as they are; see [Importer].
func (s *Store) ImportRecords(ctx context.Context, records []Record) error {
	importer, ok := s.backend.(Importer)
	err := ErrUnsupported
	if ok {
		if err = s.limits.checkRecords(records); err == nil && len(records) > 0 {
			err = importer.ImportRecords(ctx, records)
		}
	}
	if err != nil {
		return fmt.Errorf("import %d records: %w", len(records), err)
	}
	return nil
}

// Buckets names the buckets that hold records; see [BucketLister].
func (s *Store) Buckets(ctx context.Context) ([]string, error) {
	lister, ok := s.backend.(BucketLister)
	if !ok {
		return nil, fmt.Errorf("list the buckets: %w", ErrUnsupported)
	}
	buckets, err := lister.Buckets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the buckets: %w", err)
	}
	return buckets, nil
}

func (l Limits) checkImport(after event.Position, events []event.Recorded) error {
	if len(events) == 0 || after < 0 {
		return invalid("%d events after position %d: there must be some, after 0 or later", len(events), after)
	}
	if len(events) > l.MaxCommitEvents {
		return tooLarge("number of events in one import", len(events), l.MaxCommitEvents)
	}
	total := 0
	versions := make(map[event.StreamID]event.Version, len(events))
	for i := range events {
		e := &events[i]
		size, err := l.checkRecorded(e)
		previous, known := versions[e.Stream]
		switch {
		case err != nil:
		case e.Position <= after:
			err = invalid("it does not follow position %d", after)
		case known && e.Version != previous+1:
			err = invalid("version %d of stream %s follows version %d in one import", e.Version, e.Stream, previous)
		}
		if err != nil {
			return fmt.Errorf("event at position %d (%s): %w", e.Position, abbreviate(e.Type), err)
		}
		versions[e.Stream], after = e.Version, e.Position
		total += size
	}
	if total > l.MaxCommitBytes {
		return tooLarge("size of the import in bytes", total, l.MaxCommitBytes)
	}
	return nil
}

// CheckImport reports why an event could not be imported into a store with these limits, whose zero fields mean the
// defaults; size is what the event counts for in MaxCommitBytes.
func (l Limits) CheckImport(e *event.Recorded) (size int, err error) {
	return l.withDefaults().checkRecorded(e)
}

// checkRecorded checks an event as checkEvent does, which may be a tombstone.
func (l Limits) checkRecorded(e *event.Recorded) (size int, err error) {
	if err := l.checkStream(e.Stream); err != nil {
		return 0, err
	}
	if !e.IsTombstone() {
		if err := l.checkType(e.Type); err != nil {
			return 0, err
		}
	}
	metadata, err := e.Metadata()
	if err != nil {
		return 0, invalid("%w", err)
	}
	if err := l.checkBody(&event.Pending{
		SchemaVersion: e.SchemaVersion, ContentType: e.ContentType, Metadata: metadata, Tags: e.Tags, OccurredAt: e.OccurredAt,
	}); err != nil {
		return 0, err
	}
	size = len(e.Data) + len(e.RawMetadata)
	switch y := e.RecordedAt.Year(); {
	case e.ID.IsZero() || e.Version < 1 || e.SchemaVersion < 1:
		return 0, invalid("id %s, version %d, schema version %d: none may be zero", e.ID, e.Version, e.SchemaVersion)
	case y < 1 || y > 9999:
		return 0, invalid("recorded at %v: the year must be 1 to 9999", e.RecordedAt)
	case size > l.MaxEventBytes:
		return 0, tooLarge("size of data and metadata in bytes", size, l.MaxEventBytes)
	}
	return size, nil
}

func (l Limits) checkRecords(records []Record) error {
	if len(records) > l.MaxBatchOps {
		return tooLarge("number of records", len(records), l.MaxBatchOps)
	}
	seen := make(map[[2]string]bool, len(records))
	for i := range records {
		r := &records[i]
		if err := l.checkOp(Op{Kind: OpPut, Bucket: r.Bucket, Key: r.Key, Value: r.Value}); err != nil {
			return err
		}
		if r.Revision < 1 || seen[[2]string{r.Bucket, r.Key}] {
			return invalid("record %s/%s: its revision must be greater than 0, and it must not be there twice", r.Bucket, r.Key)
		}
		seen[[2]string{r.Bucket, r.Key}] = true
	}
	return nil
}

// ImportedStream is what an import brings of one stream: its versions from First to Last.
type ImportedStream struct {
	Stream      event.StreamID
	First, Last event.Version
	Deleted     bool // Last is a tombstone
}

// ImportedStreams gives the streams of an import in the order of their first events; drivers use it.
func ImportedStreams(events []event.Recorded) []ImportedStream {
	var streams []ImportedStream
	at := make(map[event.StreamID]int, len(events))
	for i := range events {
		e := &events[i]
		n, known := at[e.Stream]
		if !known {
			n = len(streams)
			at[e.Stream] = n
			streams = append(streams, ImportedStream{Stream: e.Stream, First: e.Version})
		}
		streams[n].Last, streams[n].Deleted = e.Version, e.IsTombstone()
	}
	return streams
}

// Follows decides how the stream goes on in a store in which it is at version (0: there is none), and deleted or not.
// truncates is set where the source has removed all that was before First: Importer.Import says what to do then.
func (s *ImportedStream) Follows(version event.Version, deleted bool) (truncates bool, err error) {
	switch {
	case deleted:
		return false, &StreamDeletedError{Stream: s.Stream}
	case s.First <= version:
		return false, &ConflictError{Stream: s.Stream, Expected: Exactly(s.First - 1), Actual: version}
	}
	return s.First > version+1, nil
}
