package aggregate

import (
	"errors"
	"fmt"

	"lexigram.dev/events/event"
)

// Aggregate is a pointer to a struct that embeds [Root].
//
// Apply changes the state by one event. It must not check rules or fail for an event that happened: an error is for one
// that it does not know. It is the only place where state changes, since all of it is rebuilt by calling Apply for the
// stored events. It begins with the zero value of the struct, so it makes the maps that it needs.
type Aggregate interface {
	Apply(event any) error
	root() *Root
}

// Root makes a struct an aggregate. Embed it by value. Its zero value is ready for [Record]; to be saved, an aggregate
// must come from a Repository, which gives it its stream. An aggregate is not safe for concurrent use.
type Root struct {
	stream  event.StreamID
	version event.Version   // of the last stored event
	mark    mark            // of the last snapshot
	changes []any           // recorded, not stored yet
	pending []event.Pending // the first of changes, as a Save that failed has encoded them
	fault   error           // of an Apply that failed, perhaps half way
}

func (r *Root) root() *Root { return r } //nolint:unused // embedding promotes it into Aggregate, and seals that

// ID is the aggregate's id: its stream's name without the category.
func (r *Root) ID() string { return r.stream.Key() }

// Stream is the name of the aggregate's stream; "" for an aggregate that did not come from a Repository.
func (r *Root) Stream() event.StreamID { return r.stream }

// Version is the place of the last stored event in the stream; 0 where none is stored. Events that are recorded and not
// saved do not count.
func (r *Root) Version() event.Version { return r.version }

// Record says that events happened: each is applied at once, and stored when the aggregate is saved. After an error,
// which is Apply's, the aggregate is of no more use, and saving it gives that error again.
func Record(a Aggregate, events ...any) error {
	r := a.root()
	if r.fault != nil {
		return r.fault
	}
	for _, e := range events {
		if err := apply(a, e); err != nil {
			r.fault = fmt.Errorf("record %T: %w", e, err)
			return r.fault
		}
		r.changes = append(r.changes, e)
	}
	return nil
}

// Replay applies events as if they had been loaded from the store: the version grows, and there is nothing to save.
// It is for tests and for those who keep events elsewhere.
func Replay(a Aggregate, events ...any) error {
	for _, e := range events {
		if err := apply(a, e); err != nil {
			return fmt.Errorf("replay %T: %w", e, err)
		}
		a.root().version++
	}
	return nil
}

// Changes lists the events that are recorded and not saved yet.
func Changes(a Aggregate) []any { return a.root().changes }

var errNilEvent = errors.New("the event is nil")

func apply(a Aggregate, e any) error {
	if e == nil {
		return errNilEvent
	}
	return a.Apply(e)
}
