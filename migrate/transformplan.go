package migrate

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// TransformPlan says what a copy with a transform would do.
type TransformPlan struct {
	Head    event.Position `json:"head"`    // of the source
	Events  int64          `json:"events"`  // of the source, read
	Outputs int64          `json:"outputs"` // to be written in all, those of earlier runs included
	Bytes   int64          `json:"bytes"`   // of their data and metadata

	Unchanged int64 `json:"unchanged"` // events that come out as they are
	Changed   int64 `json:"changed"`   // that come out as one other, of the same type and stream
	Renamed   int64 `json:"renamed"`   // as one of another type
	Moved     int64 `json:"moved"`     // as one in another stream
	Split     int64 `json:"split"`     // as several
	Dropped   int64 `json:"dropped"`   // as none: dropped, or held back to be merged
	Deleted   int64 `json:"deleted"`   // streams that end
	HeldBack  int64 `json:"held_back"` // outputs at the end

	Types    []TypeChange `json:"types"`    // sorted by type
	Examples []Example    `json:"examples"` // the first ones of each kind
}

// TypeChange says what becomes of events of a type.
type TypeChange struct {
	Type   string           `json:"type"`
	Events int64            `json:"events"`
	Into   map[string]int64 `json:"into"` // outputs by type
}

// Example is an event, and what comes in its place.
type Example struct {
	Kind     string         `json:"kind"` // "changed", "renamed", "moved", "split", "dropped"
	Position event.Position `json:"position"`
	Before   ExampleEvent   `json:"before"`
	After    []ExampleEvent `json:"after"`
}

// ExampleEvent is what an example shows of an event.
type ExampleEvent struct {
	Stream        event.StreamID `json:"stream"`
	Type          string         `json:"type"`
	SchemaVersion int            `json:"schema_version"`
	Data          string         `json:"data"`
}

// PlanTransformed lets a transform run over all of the source, writes nothing, and says what would come out, with examples.
// All outputs are checked against the target's limits.
func PlanTransformed(ctx context.Context, from, to *store.Store, fresh func() Transform, o TransformOptions) (TransformPlan, error) {
	o = o.withDefaults()
	if o.MaxExamples == 0 {
		o.MaxExamples = 3
	}
	p := planner{plan: TransformPlan{Types: []TypeChange{}, Examples: []Example{}}, types: map[string]*TypeChange{}, shown: map[string]int{}}
	err := o.validate(from, to, fresh)
	if err == nil {
		p.maker, p.limits = newMaker(from, to, fresh, &o), to.Limits()
		err = p.run(ctx)
	}
	if err != nil {
		return p.plan, fmt.Errorf("plan a copy with a transform: %w", err)
	}
	return p.plan, nil
}

type planner struct {
	*maker
	limits store.Limits
	plan   TransformPlan
	types  map[string]*TypeChange
	shown  map[string]int
}

func (p *planner) run(ctx context.Context) (err error) {
	if p.plan.Head, err = p.from.Head(ctx); err != nil {
		return wrap("source", err)
	}
	for p.at < p.plan.Head {
		events, err := p.read(ctx, p.plan.Head)
		if err != nil {
			return err
		}
		steps, err := p.chunk(events, p.plan.Head)
		if err != nil {
			return err
		}
		for i := range steps {
			if err := p.take(&steps[i]); err != nil {
				return err
			}
		}
		p.o.Progress(Progress{Position: p.at, Head: p.plan.Head, Events: p.plan.Events})
	}
	last, err := p.end()
	if err != nil {
		return err
	}
	p.plan.HeldBack = int64(len(last.events))
	for i := range last.events {
		if err := p.count(&last.source, &last.events[i]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.types)) {
		p.plan.Types = append(p.plan.Types, *p.types[name])
	}
	return nil
}

// count takes one output.
func (p *planner) count(source, e *event.Recorded) error {
	checked := *e
	checked.Version, checked.Position, checked.RecordedAt = 1, 1, source.RecordedAt
	size, err := p.limits.CheckImport(&checked)
	if err != nil {
		return tooMuch(source, err)
	}
	p.plan.Outputs++
	p.plan.Bytes += int64(size)
	return nil
}

func (p *planner) take(s *step) error {
	p.plan.Events++
	if s.source.IsTombstone() {
		p.plan.Deleted += int64(len(s.events))
		p.plan.Outputs += int64(len(s.events))
		return nil
	}
	t := p.types[s.source.Type]
	if t == nil {
		t = &TypeChange{Type: s.source.Type, Into: map[string]int64{}}
		p.types[s.source.Type] = t
	}
	t.Events++
	for i := range s.events {
		t.Into[s.events[i].Type]++
		if err := p.count(&s.source, &s.events[i]); err != nil {
			return err
		}
	}
	kind, counted := p.kind(s)
	*counted++
	if kind != "" && p.shown[kind] < p.o.MaxExamples {
		p.shown[kind]++
		example := Example{Kind: kind, Position: s.source.Position, Before: show(&s.source), After: []ExampleEvent{}}
		for i := range s.events {
			example.After = append(example.After, show(&s.events[i]))
		}
		p.plan.Examples = append(p.plan.Examples, example)
	}
	return nil
}

// kind says how an event comes out, and where that is counted.
func (p *planner) kind(s *step) (string, *int64) {
	switch {
	case len(s.events) == 0:
		return "dropped", &p.plan.Dropped
	case len(s.events) > 1:
		return "split", &p.plan.Split
	}
	before, after := &s.source, &s.events[0]
	switch {
	case before.Type != after.Type:
		return "renamed", &p.plan.Renamed
	case before.Stream != after.Stream:
		return "moved", &p.plan.Moved
	case bytes.Equal(before.Data, after.Data) && before.SchemaVersion == after.SchemaVersion && before.ContentType == after.ContentType &&
		slices.Equal(before.Tags, after.Tags) && bytes.Equal(before.RawMetadata, after.RawMetadata) && before.OccurredAt.Equal(after.OccurredAt):
		return "", &p.plan.Unchanged
	default:
		return "changed", &p.plan.Changed
	}
}

// maxExampleBytes bounds the data that an example shows.
const maxExampleBytes = 400

func show(e *event.Recorded) ExampleEvent {
	data := string(e.Data)
	if len(data) > maxExampleBytes {
		data = strings.ToValidUTF8(data[:maxExampleBytes], "") + "…"
	}
	return ExampleEvent{Stream: e.Stream, Type: e.Type, SchemaVersion: e.SchemaVersion, Data: data}
}
