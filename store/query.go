package store

import (
	"slices"

	"lexigram.dev/events/event"
)

// Query selects events: an OR of items. A query without items selects every event when reading, and is refused as a
// condition, where it would forbid every append.
type Query []QueryItem

// QueryItem selects events that have any of Types and all of Tags. An empty list does not restrict; an item in which
// both are empty is refused.
type QueryItem struct {
	Types []string
	Tags  []event.Tag
}

// Matches reports whether an event of this type with these tags is selected.
func (q Query) Matches(eventType string, tags []event.Tag) bool {
	return len(q) == 0 || slices.ContainsFunc(q, func(item QueryItem) bool { return item.matches(eventType, tags) })
}

func (item QueryItem) matches(eventType string, tags []event.Tag) bool {
	if len(item.Types) > 0 && !slices.Contains(item.Types, eventType) {
		return false
	}
	for _, tag := range item.Tags {
		if !slices.Contains(tags, tag) {
			return false
		}
	}
	return true
}

// Condition makes an append fail if an event that Query selects exists at a position greater than After. It draws a
// consistency boundary around exactly what a decision was based on (a dynamic consistency boundary, dcb.events): read
// the query up to a position, decide, append with the same query and that position.
type Condition struct {
	Query Query
	After event.Position
}

// Filter restricts a read of the log. The fields are ANDed; an empty field does not restrict.
type Filter struct {
	Categories []string         // any of these categories
	Streams    []event.StreamID // any of these streams
	Query      Query
}

// IsZero reports whether the filter lets every event through.
func (f Filter) IsZero() bool {
	return len(f.Categories) == 0 && len(f.Streams) == 0 && len(f.Query) == 0
}

// Matches reports whether an event of this stream and type with these tags passes.
func (f Filter) Matches(stream event.StreamID, eventType string, tags []event.Tag) bool {
	if len(f.Categories) > 0 && !slices.Contains(f.Categories, stream.Category()) {
		return false
	}
	if len(f.Streams) > 0 && !slices.Contains(f.Streams, stream) {
		return false
	}
	return f.Query.Matches(eventType, tags)
}

func (q Query) validate() error {
	for i, item := range q {
		if len(item.Types) == 0 && len(item.Tags) == 0 {
			return invalid("query item %d: names neither a type nor a tag", i+1)
		}
		for _, t := range item.Types {
			if err := event.ValidateName(t); err != nil {
				return invalid("query item %d: type %q: %w", i+1, t, err)
			}
		}
		for _, t := range item.Tags {
			if err := event.ValidateName(string(t)); err != nil {
				return invalid("query item %d: tag %q: %w", i+1, t, err)
			}
		}
	}
	return nil
}

// Validate reports why the filter would be refused by a read, so that one that is kept for later is checked at once.
func (f Filter) Validate() error { return f.validate() }

func (f Filter) validate() error {
	for _, c := range f.Categories {
		if _, err := event.NewStreamID(c, "x"); err != nil {
			return invalid("filter: %w", err)
		}
	}
	for _, s := range f.Streams {
		if err := s.Validate(); err != nil {
			return invalid("filter: %w", err)
		}
	}
	return f.Query.validate()
}
