package schema

import (
	"errors"
	"fmt"
	"math"

	"lexigram.dev/events/event"
)

// Skew is why an event of another release of the program cannot be read.
type Skew string

// The reasons.
const (
	NoSkew       Skew = ""
	UnknownType  Skew = "unknown_type"  // its type is not registered
	NewerVersion Skew = "newer_version" // its schema version is newer than the one that is registered
)

// SkewOf tells whether an error says that an event could not be decoded since another release of the program wrote it, and
// gives the error about that event. To try again is of no use before this program is replaced, so consumers set such an
// event aside and raise an alarm. Other faults of decoding (damaged data, a failing upcaster, a version before the oldest)
// are no skew.
func SkewOf(err error) (Skew, *DecodeError) {
	var d *DecodeError
	switch {
	case !errors.As(err, &d):
		return NoSkew, nil
	case errors.Is(d.Err, ErrNewer):
		return NewerVersion, d
	case errors.Is(d.Err, ErrUnregistered):
		return UnknownType, d
	default:
		return NoSkew, nil
	}
}

// Known is what a consumer knows: the newest schema version of each type, by its stored name. It is for those who do not
// decode with a registry, which would find out by itself.
type Known map[string]int

// Known gives all that is registered.
func (r *Registry) Known() Known {
	known := Known{}
	for name, e := range r.tables.Load().byName {
		known[name] = e.Version
		if e.base == nil { // dropped in all versions
			known[name] = math.MaxInt
		}
	}
	return known
}

// Check gives a *DecodeError where the event is of a type, or of a version, that is not known. With nil everything is
// known, and so are the store's own types, which begin with $.
func (k Known) Check(stored *event.Recorded) error {
	if k == nil || len(stored.Type) > 0 && stored.Type[0] == '$' {
		return nil
	}
	newest, ok := k[stored.Type]
	switch {
	case !ok:
		return decodeError(stored, fmt.Errorf("type %w: it is not among the %d that this consumer knows", ErrUnregistered, len(k)))
	case stored.SchemaVersion > newest:
		return decodeError(stored, fmt.Errorf("%w: this consumer knows up to version %d: %w, so upgrade", ErrVersion, newest, ErrNewer))
	}
	return nil
}
