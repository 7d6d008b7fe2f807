package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// advancedType is the event that each commit of a copy within a store appends to the copy's own stream.
const advancedType = "migration.advanced"

// appendSink appends the outputs to streams of other categories of the same store. Each commit has an event that says how
// far the copy is then, with the version that the copy's own stream must have: so the two agree at any moment, and of two
// copies of a name only one goes on.
type appendSink struct {
	to      *store.Store
	o       *TransformOptions
	stream  event.StreamID
	version event.Version // of stream
	at      place         // how far the copy is; Made counts all outputs that are written
	base    place         // at, before the outputs at hand
	extra   int           // outputs to be skipped
	versions

	stored int // of the outputs at hand
}

func (s *appendSink) begin(ctx context.Context) (place, error) {
	s.stream, s.versions = event.StreamID(controlCategory+"-"+s.o.Name), versions{to: s.to}
	last, err := one(s.to.ReadStream(ctx, store.StreamRead{Stream: s.stream, Backwards: true, Limit: 1}))
	if err != nil || last == nil {
		return place{}, err
	}
	if err := json.Unmarshal(last.Data, &s.at); err != nil || last.Type != advancedType {
		return place{}, fmt.Errorf("stream %s: %w: its last event, %s, does not say how far the copy is", s.stream, store.ErrCorrupt, last.Type)
	}
	s.version, s.extra = last.Version, s.at.Extra
	whole := s.at
	whole.Made -= int64(whole.Extra)
	return whole, nil
}

func (s *appendSink) skip(context.Context, *event.Recorded) (bool, error) {
	if s.extra == 0 {
		return false, nil
	}
	s.extra--
	return true, nil
}

// write appends commit after commit. Within one, a stream is there once; so a commit ends where events of a stream come
// again after others, and the order of all outputs stays as it is.
func (s *appendSink) write(ctx context.Context, steps []step, upTo event.Position, ended bool) error {
	if len(steps) == 0 && !ended {
		return nil
	}
	type output struct {
		event.Recorded
		after place // how far the copy is with it
	}
	var outputs []output
	if s.stored == 0 {
		s.base = s.at
	}
	p := s.base
	for i := range steps {
		for j := range steps[i].events {
			p.Made, p.Extra = p.Made+1, p.Extra+1
			outputs = append(outputs, output{steps[i].events[j], p})
		}
		p.Source, p.Extra = max(p.Source, steps[i].source.Position), 0
		if n := len(outputs); n > 0 {
			outputs[n-1].after.Source, outputs[n-1].after.Extra = p.Source, 0
		}
	}
	p.Source, p.Ended = upTo, ended
	for s.stored < len(outputs) {
		left := outputs[s.stored:]
		commit := store.Commit{Appends: []store.Append{{}}} // the first one is the copy's own
		n, size, limits := 0, 0, s.to.Limits()
		place := map[event.StreamID]bool{}
		for ; n < len(left); n++ {
			e := &left[n].Recorded
			if e.IsTombstone() {
				break
			}
			same := len(commit.Appends) > 1 && commit.Appends[len(commit.Appends)-1].Stream == e.Stream
			size += len(e.Data) + len(e.RawMetadata)
			if n > 0 && (place[e.Stream] && !same || n+1 >= min(limits.MaxCommitEvents, s.o.BatchEvents+1) || int64(size) > min(batchBytes, int64(limits.MaxCommitBytes)/2)) {
				break
			}
			pending, err := e.Pending()
			if err != nil {
				return err
			}
			if !same {
				version, err := s.of(ctx, e.Stream)
				if err != nil {
					return err
				}
				place[e.Stream] = true
				commit.Appends = append(commit.Appends, store.Append{Stream: e.Stream, Expected: store.Exactly(version)})
			}
			last := &commit.Appends[len(commit.Appends)-1]
			last.Events = append(last.Events, pending)
		}
		if n == 0 { // a tombstone
			if err := s.end(ctx, left[0].Stream); err != nil {
				return err
			}
			n = 1
		}
		after := left[n-1].after
		if n == len(left) {
			after = p
		}
		if err := s.commit(ctx, commit, after); err != nil {
			return err
		}
		s.stored += n
	}
	if s.at != p {
		if err := s.commit(ctx, store.Commit{Appends: []store.Append{{}}}, p); err != nil {
			return err
		}
	}
	s.stored = 0
	return nil
}

// end deletes a stream, if it is there.
func (s *appendSink) end(ctx context.Context, stream event.StreamID) error {
	_, err := s.to.Delete(ctx, stream, store.StreamExists())
	if errors.Is(err, store.ErrStreamDeleted) || errors.Is(err, store.ErrConflict) {
		err = nil // it was, or never came to be
	}
	if err == nil {
		s.set(stream, deletedStream)
	}
	return err
}

func (s *appendSink) commit(ctx context.Context, commit store.Commit, after place) error {
	data, err := json.Marshal(after)
	if err != nil {
		return err
	}
	commit.Appends[0] = store.Append{Stream: s.stream, Expected: store.Exactly(s.version), Events: []event.Pending{{
		ID: event.DerivedID(event.ID{}, fmt.Sprintf("%s/%d", s.stream, s.version+1)), Type: advancedType, Data: data,
	}}}
	result, err := s.to.Commit(ctx, commit)
	if errors.Is(err, store.ErrConflict) {
		err = fmt.Errorf("%w: %w", errForeign, err)
	}
	if err != nil {
		return err
	}
	for i, a := range commit.Appends {
		s.set(a.Stream, result.Versions[i])
	}
	s.version, s.at = s.version+1, after
	return nil
}
