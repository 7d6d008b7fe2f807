package aggregate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// snapshotTimeout bounds the writing of a snapshot, which the save that it follows waits for.
const snapshotTimeout = 5 * time.Second

// snapshots keeps encoded states in the store's records. Its methods never fail a caller: a snapshot is a shortcut, and
// without one the events are read.
type snapshots[S any] struct {
	Snapshots
	store    *store.Store
	category string
	now      func() time.Time
	target   func(state *S) any // the pointer that the codec gets
}

func (s *snapshots[S]) encode(state S) ([]byte, error) { return s.Codec.Marshal(s.target(&state)) }

func (s *snapshots[S]) decode(data []byte) (S, error) {
	var state S
	err := s.Codec.Unmarshal(data, s.target(&state))
	return state, err
}

// mark tells of the snapshot that an aggregate was loaded from or that was taken last.
type mark struct {
	version event.Version // 0: none
	at      time.Time     // when it was taken; without one, when the first event was recorded
}

// bucket names the bucket of the category.
func (s *snapshots[S]) bucket() string { return s.Bucket + "-" + s.category }

// versionDigits is the width of a version in a key, so that keys sort as versions do.
const versionDigits = 19

// snapshotKey names the snapshot of an aggregate at a version.
func snapshotKey(id string, version event.Version) string {
	return fmt.Sprintf("%s@%0*d", id, versionDigits, int64(version))
}

// scan selects the snapshots of an aggregate up to a version (0: all), the newest first. With an id that has the form
// of a key it also yields those of another; owns tells.
func (s *snapshots[S]) scan(id string, upTo event.Version) store.Scan {
	to := id + "A" // the character after @
	if upTo > 0 {
		to = snapshotKey(id, upTo) + "!" // the end is exclusive
	}
	return store.Scan{Bucket: s.bucket(), From: id + "@", To: to, Backwards: true}
}

func owns(id, key string) bool {
	return len(key) == len(id)+1+versionDigits && strings.HasPrefix(key, id+"@")
}

// newest gives the newest usable snapshot of a stream up to a point as a live aggregate, or nil.
func (s *snapshots[S]) newest(ctx context.Context, stream event.StreamID, at Point) *live[S] {
	id := stream.Key()
	for record, err := range s.store.Scan(ctx, s.scan(id, at.version)) {
		if err != nil {
			if ctx.Err() != nil {
				return nil // the read of the events will say so
			}
			s.OnError(ctx, stream, fmt.Errorf("read snapshots of %s: %w", stream, err))
			return nil
		}
		if !owns(id, record.Key) {
			continue
		}
		l, err := s.open(stream, record, at)
		if err != nil {
			s.OnError(ctx, stream, fmt.Errorf("ignored snapshot %s of %s: %w", record.Key, stream, err))
		}
		if l != nil {
			return l
		}
	}
	return nil
}

// open decodes a record. Nil without an error: a snapshot that is sound but of no use here.
func (s *snapshots[S]) open(stream event.StreamID, record store.Record, at Point) (*live[S], error) {
	header, data, err := splitSnapshot(record.Value)
	if err != nil {
		return nil, err
	}
	if header.Schema != s.Version || at.before(header.Version, header.RecordedAt) {
		return nil, nil
	}
	if snapshotKey(stream.Key(), header.Version) != record.Key {
		return nil, fmt.Errorf("it is of version %d, which is not its key's", header.Version)
	}
	if header.ContentType != s.Codec.ContentType() {
		return nil, fmt.Errorf("it is encoded as %s, the codec speaks %s", header.ContentType, s.Codec.ContentType())
	}
	state, err := s.decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return &live[S]{
		stream: stream, state: state, version: header.Version, base: data,
		mark: mark{version: header.Version, at: header.TakenAt},
	}, nil
}

// afterSave takes a snapshot if one is due, and gives the mark that now holds.
func (s *snapshots[S]) afterSave(ctx context.Context, stream event.StreamID, state S, version event.Version, m mark) mark {
	now := s.now()
	if m.at.IsZero() {
		m.at = now
	}
	byCount := s.Every > 0 && version-m.version >= event.Version(s.Every)
	byAge := s.MaxAge > 0 && now.Sub(m.at) >= s.MaxAge
	if !byCount && !byAge {
		return m
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), snapshotTimeout) // the events are stored: the caller's end is no reason
	defer cancel()
	if err := s.take(ctx, stream, state, version); err != nil {
		s.OnError(ctx, stream, err)
		return m
	}
	return mark{version: version, at: now}
}

// take writes a snapshot and removes those beyond Keep.
func (s *snapshots[S]) take(ctx context.Context, stream event.StreamID, state S, version event.Version) error {
	data, err := s.encode(state)
	if err != nil {
		return fmt.Errorf("take a snapshot of %s: encode: %w", stream, err)
	}
	recordedAt, err := s.recordedAt(ctx, stream, version)
	if err != nil {
		return fmt.Errorf("take a snapshot of %s: %w", stream, err)
	}
	value := joinSnapshot(snapshotHeader{
		Schema: s.Version, Version: version, RecordedAt: recordedAt, TakenAt: s.now().UTC(), ContentType: s.Codec.ContentType(),
	}, data)
	put := store.Put(s.bucket(), snapshotKey(stream.Key(), version), value)
	if _, err = s.store.Apply(ctx, put); err != nil {
		return fmt.Errorf("take a snapshot of %s: %w", stream, err)
	}
	return s.drop(ctx, stream, s.Keep)
}

// recordedAt asks the store when it recorded the event that the snapshot ends with, since LoadAt compares with that.
func (s *snapshots[S]) recordedAt(ctx context.Context, stream event.StreamID, version event.Version) (time.Time, error) {
	for stored, err := range s.store.ReadStream(ctx, store.StreamRead{Stream: stream, From: version, Limit: 1}) {
		return stored.RecordedAt, err
	}
	return time.Time{}, fmt.Errorf("version %d: %w", version, store.ErrNotFound)
}

// drop removes all but the newest so many snapshots of a stream.
func (s *snapshots[S]) drop(ctx context.Context, stream event.StreamID, keep int) error {
	var old []store.Op
	for record, err := range s.store.Scan(ctx, s.scan(stream.Key(), 0)) {
		if err != nil {
			return fmt.Errorf("remove old snapshots of %s: %w", stream, err)
		}
		if !owns(stream.Key(), record.Key) {
			continue
		}
		if keep--; keep < 0 {
			old = append(old, store.Delete(record.Bucket, record.Key))
		}
	}
	if _, err := s.store.Apply(ctx, old...); err != nil {
		return fmt.Errorf("remove old snapshots of %s: %w", stream, err)
	}
	return nil
}

// check tries the codec on a new state, so that a state which cannot be encoded shows at start-up.
func (s *snapshots[S]) check(state S) error {
	if _, isJSON := s.Codec.(schema.JSON); isJSON {
		if lost := lostByJSON[S](); len(lost) > 0 {
			return fmt.Errorf("snapshots: %w: %s; export them, implement json.Marshaler and Unmarshaler, or set Snapshots.Codec",
				errLostState, strings.Join(lost, ", "))
		}
	}
	data, err := s.encode(state)
	if err == nil {
		_, err = s.decode(data)
	}
	if err != nil {
		return fmt.Errorf("snapshots: the codec %T does not take a new %T there and back: %w", s.Codec, state, err)
	}
	return nil
}

var errLostState = errors.New("JSON would lose unexported fields")
