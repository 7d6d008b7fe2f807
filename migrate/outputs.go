package migrate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// maker runs a transform over the source, chunk by chunk, and fills its outputs in.
type maker struct {
	from      *store.Store
	o         *TransformOptions
	transform Transform
	within    bool // one store

	at   event.Position // all of the source up to here is transformed
	last event.Recorded // the last event that was
	made int64          // outputs
}

func newMaker(from, to *store.Store, fresh func() Transform, o *TransformOptions) *maker {
	m := &maker{from: from, o: o, transform: fresh(), within: sameStore(from, to)}
	if m.transform.Deleted == nil {
		m.transform.Deleted = func(stream event.StreamID) []event.StreamID { return []event.StreamID{stream} }
		if m.within {
			m.transform.Deleted = func(event.StreamID) []event.StreamID { return nil }
		}
	}
	return m
}

// step is one event of the source and what comes in its place: events with their stream, id, times and content; versions
// and positions are for those who write them.
type step struct {
	source event.Recorded
	events []event.Recorded
}

// read gives the next events of the source, up to a position, as they are.
func (m *maker) read(ctx context.Context, to event.Position) ([]event.Recorded, error) {
	events := make([]event.Recorded, 0, min(m.o.BatchEvents, int(to-m.at)))
	read := store.LogRead{From: m.at + 1, To: to, Filter: m.o.Filter, Limit: m.o.BatchEvents}
	for e, err := range m.from.ReadLog(ctx, read) {
		if err != nil {
			return nil, wrap("source", err)
		}
		events = append(events, e)
	}
	return events, nil
}

// chunk transforms what read gave.
func (m *maker) chunk(events []event.Recorded, to event.Position) ([]step, error) {
	steps := make([]step, 0, len(events))
	for i := range events {
		s, err := m.step(events[i])
		if err != nil {
			return nil, fmt.Errorf("transform the event at position %d, %s of stream %s: %w", events[i].Position, events[i].Type, events[i].Stream, err)
		}
		steps = append(steps, s)
	}
	m.at = to
	if len(events) == m.o.BatchEvents { // there may be more
		m.at = events[len(events)-1].Position
	}
	return steps, nil
}

func (m *maker) step(e event.Recorded) (step, error) {
	s := step{source: e}
	m.last = e
	if e.IsTombstone() {
		for i, stream := range m.transform.Deleted(e.Stream) {
			s.events = append(s.events, event.Recorded{
				ID: m.id(&e, i), Stream: stream, Type: event.TombstoneType, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType,
				OccurredAt: e.OccurredAt, RecordedAt: e.RecordedAt,
			})
		}
		m.made += int64(len(s.events))
		return s, nil
	}
	outputs, err := m.transform.Event(copyOf(e))
	if err == nil {
		s.events, err = m.fill(outputs, &e, 0)
	}
	return s, err
}

// copyOf keeps what a transform does to slices from the event at hand.
func copyOf(e event.Recorded) event.Recorded {
	e.Data, e.RawMetadata, e.Tags = slices.Clone(e.Data), slices.Clone(e.RawMetadata), slices.Clone(e.Tags)
	return e
}

// end gives what the transform has held back.
func (m *maker) end() (step, error) {
	s := step{source: m.last}
	if m.transform.End == nil {
		return s, nil
	}
	outputs, err := m.transform.End()
	if err == nil {
		s.events, err = m.fill(outputs, &m.last, endOutputs)
	}
	if err != nil {
		return s, fmt.Errorf("transform the end: %w", err)
	}
	return s, nil
}

// endOutputs keeps the ids of outputs at the end from those of the last event.
const endOutputs = 1 << 30

// fill makes complete events of outputs.
func (m *maker) fill(outputs []Output, source *event.Recorded, first int) ([]event.Recorded, error) {
	events := make([]event.Recorded, len(outputs))
	limits := m.from.Limits()
	for i, out := range outputs {
		p := out.Event
		e := event.Recorded{
			ID: p.ID, Stream: out.Stream, Type: p.Type, SchemaVersion: max(p.SchemaVersion, 1), ContentType: p.ContentType, Data: p.Data,
			RawMetadata: p.Metadata.AppendJSON(nil), OccurredAt: p.OccurredAt, RecordedAt: source.RecordedAt,
			Version: 1, Position: 1, // to be checked as the rest
		}
		if len(p.Tags) > 0 {
			e.Tags = slices.Clone(p.Tags)
		}
		if e.ContentType == "" {
			e.ContentType = event.JSON
		}
		if e.OccurredAt.IsZero() {
			e.OccurredAt = source.OccurredAt
		}
		if e.ID.IsZero() {
			e.ID = m.id(source, first+i)
		}
		switch _, err := limits.CheckImport(&e); {
		case err != nil:
			return nil, fmt.Errorf("output %d: %w", i+1, err)
		case e.IsTombstone():
			return nil, fmt.Errorf("output %d: %w: a transform ends streams by Deleted", i+1, store.ErrInvalid)
		case m.within && !slices.Contains(m.o.Into, e.Stream.Category()):
			return nil, fmt.Errorf("output %d: %w: stream %s is of none of the categories of Into, %v", i+1, store.ErrInvalid, e.Stream, m.o.Into)
		}
		e.Version, e.Position = 0, 0
		if m.within { // it gets another time
			e.RecordedAt = time.Time{}
		}
		events[i] = e
	}
	m.made += int64(len(events))
	return events, nil
}

// id is that of output i of an event.
func (m *maker) id(source *event.Recorded, i int) event.ID {
	if i == 0 && !m.within {
		return source.ID
	}
	return event.DerivedID(source.ID, fmt.Sprintf("%s/%d", m.o.Name, i))
}
