package schema

import (
	"fmt"

	"lexigram.dev/events/event"
)

// Decode gives the value of a stored event, of the Go type that its name is registered for, brought to the current
// version. Errors are *DecodeError, of the kinds ErrUnregistered, ErrVersion and ErrContentType, or those of a codec or
// upcaster. It does not change the event or keep its data.
func (r *Registry) Decode(stored *event.Recorded) (any, error) {
	e, ok := r.tables.Load().byName[stored.Type]
	if !ok {
		return nil, decodeError(stored, fmt.Errorf(
			"type %w: call schema.Register for it at start-up, or use DecodeOrRaw to get such events undecoded", ErrUnregistered))
	}
	v, err := e.read(stored)
	if err != nil {
		return nil, decodeError(stored, err)
	}
	return v, nil
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
		return nil, fmt.Errorf("%w: this program knows up to version %d: a newer one wrote the event, so upgrade", ErrVersion, e.Version)
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
