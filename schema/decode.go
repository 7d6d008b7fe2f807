package schema

import (
	"fmt"
	"reflect"
	"slices"

	"lexigram.dev/events/event"
)

// Decode gives the value of a stored event, of the Go type that its name is registered for, brought to the current
// version. Errors are *DecodeError, of the kinds ErrUnregistered, ErrVersion, ErrContentType and ErrReplaced, or those of
// a codec or upcaster. It does not change the event or keep its data.
//
// It is for those who know that the type is neither split nor dropped, such as for commands. Who reads a log takes
// AppendDecoded.
func (r *Registry) Decode(stored *event.Recorded) (any, error) {
	e, v, err := r.decode(stored)
	if err != nil {
		return nil, err
	}
	if e.Replaced {
		return nil, decodeError(stored, fmt.Errorf("type %w: use DecodeAll", ErrReplaced))
	}
	return v, nil
}

// DecodeAll gives the values that a stored event is read as: one; or as many as Split makes of it, in their order; none
// for a type that is dropped. All have the position and version of the stored event. Errors are those of Decode.
func (r *Registry) DecodeAll(stored *event.Recorded) ([]any, error) {
	return r.AppendDecoded(nil, stored)
}

// AppendDecoded is DecodeAll that appends to a slice, so that a long read needs only one.
func (r *Registry) AppendDecoded(values []any, stored *event.Recorded) ([]any, error) {
	e, v, err := r.decode(stored)
	switch {
	case err != nil:
		return values, err
	case !e.Replaced:
		return append(values, v), nil
	case e.into == nil:
		return values, nil
	}
	parts, err := e.into(v)
	if err != nil {
		return values, decodeError(stored, fmt.Errorf("split: %w", err))
	}
	for _, part := range parts {
		if t := baseOf(reflect.TypeOf(part)); t == nil || !slices.ContainsFunc(e.Parts, func(p reflect.Type) bool { return baseOf(p) == t }) {
			return values, decodeError(stored, fmt.Errorf("split: gave a %T, which was not declared: name it in Into", part))
		}
	}
	return append(values, parts...), nil
}

// decode gives the value of an event before it is split.
func (r *Registry) decode(stored *event.Recorded) (*entry, any, error) {
	e, ok := r.tables.Load().byName[stored.Type]
	if !ok {
		return nil, nil, decodeError(stored, fmt.Errorf(
			"type %w: call schema.Register for it at start-up, or use DecodeOrRaw to get such events undecoded", ErrUnregistered))
	}
	if e.Replaced && e.into == nil { // dropped, whatever it holds
		return e, nil, nil
	}
	v, err := e.read(stored)
	if err != nil {
		return nil, nil, decodeError(stored, err)
	}
	return e, v, nil
}

// DecodeOrRaw is like Decode, but gives an event whose type is not registered as it is, as an event.Recorded. It is for
// readers that meet all types and know some. All other errors stay errors.
func (r *Registry) DecodeOrRaw(stored *event.Recorded) (any, error) {
	if _, ok := r.tables.Load().byName[stored.Type]; !ok {
		return *stored, nil
	}
	return r.Decode(stored)
}

func (e *entry) read(stored *event.Recorded) (any, error) {
	if !speaks(e.ContentType, stored.ContentType) {
		return nil, fmt.Errorf("%w: stored is %q, the registered codec %T speaks %q", ErrContentType, stored.ContentType, e.codec, e.ContentType)
	}
	switch {
	case stored.SchemaVersion > e.Version:
		return nil, fmt.Errorf("%w: this program knows up to version %d: %w, so upgrade", ErrVersion, e.Version, ErrNewer)
	case stored.SchemaVersion < e.Oldest:
		return nil, fmt.Errorf("%w: this program knows version %d and later: add an upcaster and lower Oldest", ErrVersion, e.Oldest)
	}
	data, err := e.steps.upcast(stored.Data, stored.SchemaVersion, e.Version)
	if err != nil {
		return nil, err
	}
	v, err := e.decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode into %v: %w", e.Go, err)
	}
	return v, nil
}
