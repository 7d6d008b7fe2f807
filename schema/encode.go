package schema

import (
	"errors"
	"fmt"
	"reflect"

	"lexigram.dev/events/event"
)

// Tagged is implemented by events that carry tags: Encode puts them on the stored event, so that queries and
// consistency conditions can select by them.
type Tagged interface {
	EventTags() []event.Tag
}

// Encode gives the event to append for a value of a registered type, or a pointer to one: type, schema version, content
// type, data, and the tags of a [Tagged] value. Id, metadata and time are left to the caller. A value and a pointer to it
// give the same, also where methods such as MarshalJSON or EventTags have pointer receivers.
func (r *Registry) Encode(v any) (event.Pending, error) {
	value := reflect.ValueOf(v)
	e, ok := r.tables.Load().forType(reflect.TypeOf(v))
	if !ok {
		return event.Pending{}, fmt.Errorf("encode event %T: %w: call schema.Register for it at start-up", v, ErrUnregistered)
	}
	if e.Replaced {
		return event.Pending{}, fmt.Errorf("encode event %T: type %w: append those", v, ErrReplaced)
	}
	if value.Kind() != reflect.Pointer {
		pointer := reflect.New(e.base)
		pointer.Elem().Set(value)
		value = pointer
	} else if value.IsNil() {
		return event.Pending{}, fmt.Errorf("encode event %T: %w", v, errNil)
	}
	pointer := value.Interface()
	data, err := e.codec.Marshal(pointer)
	if err != nil {
		return event.Pending{}, fmt.Errorf("encode event %s (%T): %w", e.Name, v, err)
	}
	p := event.Pending{Type: e.Name, SchemaVersion: e.Version, ContentType: e.ContentType, Data: data}
	if tagged, ok := pointer.(Tagged); ok {
		p.Tags = tagged.EventTags()
	}
	return p, nil
}

var errNil = errors.New("the pointer is nil")
