package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// transformBucket holds, by the names of copies into this store, how much of the source had become how much of the log.
const transformBucket = "migrate/transforms"

// knownStreams bounds how many streams' versions a sink remembers.
const knownStreams = 100_000

// importSink makes the outputs the log of another store, from its first event on: output n has position n. So the end of
// the log tells how far the copy is; the record only saves the way there.
type importSink struct {
	to   *store.Store
	o    *TransformOptions
	head event.Position // of the target, as written by this copy
	seen event.Position // outputs up to here are compared with what is there
	made int64
	versions

	stored    int  // of the outputs at hand
	uncertain bool // a write may have happened
}

func (s *importSink) begin(ctx context.Context) (place, error) {
	s.versions = versions{to: s.to}
	var err error
	if s.head, err = s.to.Head(ctx); err != nil {
		return place{}, wrap("target", err)
	}
	var p place
	record, err := s.to.Get(ctx, transformBucket, s.o.Name)
	if err == nil {
		err = json.Unmarshal(record.Value, &p)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		p = place{}
	case err != nil:
		return p, wrap("target", fmt.Errorf("record %s/%s: %w", transformBucket, s.o.Name, err))
	case event.Position(p.Made) > s.head:
		return p, fmt.Errorf("target: %w: its log ends at position %d, and %d had been written", store.ErrCorrupt, s.head, p.Made)
	}
	s.seen, s.made = event.Position(p.Made), p.Made
	p.Extra = int(int64(s.head) - p.Made)
	return p, nil
}

// skip compares an output with what stands in its place already.
func (s *importSink) skip(ctx context.Context, e *event.Recorded) (bool, error) {
	if s.seen == s.head {
		return false, nil
	}
	at := s.seen + 1
	there, err := one(s.to.ReadLog(ctx, store.LogRead{From: at, To: at}))
	if err != nil {
		return false, wrap("target", err)
	}
	if there == nil { // gone with its stream, else it is another log
		info, err := s.to.StreamInfo(ctx, e.Stream)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return false, wrap("target", err)
		}
		if err != nil || !info.Deleted {
			return false, &DifferentError{Difference: Difference{Position: at, Stream: e.Stream, Field: "event", From: e.Type, To: ""}}
		}
	} else if d, different := differsOutput(e, there); different {
		return false, &DifferentError{Difference: d}
	}
	s.seen = at
	s.made++
	return true, nil
}

func (s *importSink) write(ctx context.Context, steps []step, upTo event.Position, ended bool) error {
	var events []event.Recorded
	for i := range steps {
		events = append(events, steps[i].events...)
	}
	if s.uncertain {
		if err := s.settle(ctx, len(events)); err != nil {
			return err
		}
	}
	for s.stored < len(events) {
		n, err := s.next(ctx, events[s.stored:])
		if err != nil {
			s.uncertain = errors.Is(err, store.ErrUnavailable)
			var moved *store.HeadError
			if errors.As(err, &moved) {
				err = fmt.Errorf("%w: %w", errForeign, err)
			}
			return err
		}
		s.stored, s.head = s.stored+n, s.head+event.Position(n)
	}
	value, err := json.Marshal(place{Source: upTo, Made: s.made + int64(len(events)), Ended: ended})
	if err == nil {
		_, err = s.to.Apply(ctx, store.Put(transformBucket, s.o.Name, value))
	}
	if err != nil {
		return err
	}
	s.seen, s.made, s.stored = s.head, s.made+int64(len(events)), 0
	return nil
}

// settle finds out what a write whose outcome is unknown has stored.
func (s *importSink) settle(ctx context.Context, n int) error {
	head, err := s.to.Head(ctx)
	if err != nil {
		return err
	}
	s.stored += int(head - s.head)
	if s.stored > n || head < s.head {
		return fmt.Errorf("%w: %w", errForeign, &store.HeadError{Expected: s.head, Actual: head})
	}
	s.head, s.uncertain = head, false
	s.forget()
	return nil
}

// next writes what goes into one import, or ends one stream, and gives how many outputs that were.
func (s *importSink) next(ctx context.Context, events []event.Recorded) (int, error) {
	limits := s.to.Limits()
	batch := make([]event.Recorded, 0, min(len(events), limits.MaxCommitEvents, s.o.BatchEvents))
	ahead := map[event.StreamID]event.Version{} // in this batch
	size := 0
	for i := range events {
		e := events[i]
		current, known := ahead[e.Stream]
		if !known {
			var err error
			if current, err = s.of(ctx, e.Stream); err != nil {
				return 0, err
			}
		}
		if e.IsTombstone() && current > 0 {
			if i > 0 {
				break
			}
			_, err := s.to.Delete(ctx, e.Stream, store.Any())
			s.set(e.Stream, deletedStream)
			return 1, err
		}
		e.Version, e.Position = current+1, s.head+event.Position(i)+1
		bytes, err := limits.CheckImport(&e)
		if err != nil {
			return 0, fmt.Errorf("%s of stream %s: %w", e.Type, e.Stream, err)
		}
		if size += bytes; i == cap(batch) || i > 0 && int64(size) > min(batchBytes, int64(limits.MaxCommitBytes)) {
			break
		}
		batch = append(batch, e)
		ahead[e.Stream] = e.Version
	}
	if err := s.to.Import(ctx, s.head, batch); err != nil {
		return 0, err
	}
	for i := range batch {
		version := batch[i].Version
		if batch[i].IsTombstone() {
			version = deletedStream
		}
		s.set(batch[i].Stream, version)
	}
	return len(batch), nil
}

// versions remembers where the target's streams end.
type versions struct {
	to    *store.Store
	known map[event.StreamID]event.Version
}

// deletedStream stands for a stream that nothing can be appended to.
const deletedStream = event.Version(-1)

// of gives the version of a stream, 0 where there is none.
func (v *versions) of(ctx context.Context, stream event.StreamID) (event.Version, error) {
	version, known := v.known[stream]
	if !known {
		info, err := v.to.StreamInfo(ctx, stream)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
		version = info.Version
		if info.Deleted {
			version = deletedStream
		}
		v.set(stream, version)
	}
	if version == deletedStream {
		return 0, &store.StreamDeletedError{Stream: stream}
	}
	return version, nil
}

func (v *versions) set(stream event.StreamID, version event.Version) {
	if v.known == nil || len(v.known) >= knownStreams {
		v.known = map[event.StreamID]event.Version{}
	}
	v.known[stream] = version
}

func (v *versions) forget() { v.known = nil }
