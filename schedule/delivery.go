package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Delivery says what is delivered: [Event] or [Command]. The zero value is refused.
type Delivery struct {
	kind   Kind
	stream event.StreamID
	value  any
}

// Kind says what a delivery is.
type Kind string

// The kinds of deliveries.
const (
	KindEvent   Kind = "event"
	KindCommand Kind = "command"
)

// Event is an event that is appended to a stream, whatever its version: a value of a type that is registered in
// Options.Schema, or an event.Pending. Its id is derived from the delivery's, so that it is stored once; a Pending's own
// id is not used. It occurs when it is delivered, unless a Pending says otherwise.
func Event(stream event.StreamID, value any) Delivery {
	return Delivery{kind: KindEvent, stream: stream, value: value}
}

// Command is a command, of a type that is registered in Options.Schema, that is dispatched to its handler.
func Command(command any) Delivery { return Delivery{kind: KindCommand, value: command} }

// encode gives what is stored of a delivery, with the metadata of the context.
func (s *Scheduler) encode(ctx context.Context, d *Delivery) (entry, error) {
	e := entry{Kind: d.kind, Stream: d.stream}
	var faults []error
	switch {
	case d.kind == "":
		return e, invalid("it is not said what: use Event or Command")
	case d.kind == KindCommand && s.o.Commands == nil:
		faults = append(faults, invalid("command %T: this scheduler has no bus: set Options.Commands", d.value))
	case d.kind == KindEvent:
		faults = append(faults, s.checkStream(d.stream))
	}
	p, raw := d.value.(event.Pending)
	if !raw {
		var err error
		if p, err = s.o.Schema.Encode(d.value); err != nil {
			return e, errors.Join(append(faults, invalid("%w", err))...)
		}
	} else if d.kind == KindCommand {
		faults = append(faults, invalid("a command must be of a registered type, not an event.Pending"))
	}
	if err := event.ValidateName(p.Type); err != nil {
		faults = append(faults, invalid("event type %q: %w", p.Type, err))
	}
	if most := s.store.Limits().MaxEventBytes; len(p.Data) > most {
		faults = append(faults, fmt.Errorf("%w: %s has %d bytes of data, the limit is %d", store.ErrTooLarge, p.Type, len(p.Data), most))
	}
	e.Type, e.SchemaVersion, e.ContentType, e.Data, e.Tags = p.Type, cmp.Or(p.SchemaVersion, 1), cmp.Or(p.ContentType, event.JSON), p.Data, p.Tags
	e.Metadata, e.OccurredAt = p.Metadata.Or(event.MetadataFrom(ctx)), p.OccurredAt
	if err := e.Metadata.Validate(); err != nil {
		faults = append(faults, invalid("%w", err))
	}
	return e, errors.Join(faults...)
}

func (s *Scheduler) checkStream(stream event.StreamID) error {
	switch err := stream.Validate(); {
	case err != nil:
		return invalid("%w", err)
	case len(stream) > s.store.Limits().MaxStreamBytes:
		return fmt.Errorf("%w: the name of the stream has %d bytes, the limit is %d", store.ErrTooLarge, len(stream), s.store.Limits().MaxStreamBytes)
	case stream[0] == '$':
		return invalid("stream name %q: names that begin with $ belong to the store", stream)
	}
	return nil
}

// pending is the event that is appended.
func (e *entry) pending(id string) event.Pending {
	return event.Pending{
		ID: e.key(id), Type: e.Type, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType,
		Data: e.Data, Tags: e.Tags, Metadata: e.Metadata, OccurredAt: e.OccurredAt,
	}
}

// recorded is the command as the registry decodes it.
func (e *entry) recorded(id string) *event.Recorded {
	return &event.Recorded{ID: e.key(id), Type: e.Type, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType, Data: e.Data}
}
