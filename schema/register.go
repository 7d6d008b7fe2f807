package schema

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"lexigram.dev/events/event"
)

// Options are the settings of one registered type; the zero value works.
type Options struct {
	// Version is the version of the type's shape, 1 or more. Raise it when stored data no longer decodes into the type
	// as it is, and add an upcaster. Defaults to 1.
	Version int

	// Oldest is the oldest version that is still in any store. Versions before it need no upcaster. Defaults to 1.
	Oldest int

	// Aliases are other names under which such events are stored: those that the type had before it was renamed; and the
	// one that it is going to have, in the release before that one. The numbers of versions go on over a renaming.
	// Defaults to none.
	Aliases []string

	// Upcasters bring older versions to Version: one from each version from Oldest on. Defaults to none.
	Upcasters []Upcaster

	// Codec encodes and decodes the data. Defaults to JSON.
	Codec Codec
}

func (o Options) withDefaults() Options {
	if o.Version == 0 {
		o.Version = 1
	}
	if o.Oldest == 0 {
		o.Oldest = 1
	}
	if o.Codec == nil {
		o.Codec = JSON{}
	}
	return o
}

// Register tells the registry that values of type T are stored as events of the given name. Decoding such an event
// gives a T: register a struct to get values, a pointer to it to get pointers; encoding takes both in both cases.
// A name, and a type, can be registered once.
//
// All faults are reported together. To see those of several registrations, pass their errors to errors.Join.
func Register[T any](r *Registry, name string, o Options) error {
	e, err := newEntry[T](name, o)
	return r.register(e, err)
}

// register adds an entry that may have faults.
func (r *Registry) register(e *entry, faults error) error {
	if err := r.add(e, faults); err != nil {
		return fmt.Errorf("register event type %q for %v: %w", e.Name, e.Go, err)
	}
	return nil
}

// newEntry gives the entry of a type also where there are faults.
func newEntry[T any](name string, o Options) (*entry, error) {
	o = o.withDefaults()
	registered := reflect.TypeFor[T]()
	base := baseOf(registered)
	faults := validateNames(append([]string{name}, o.Aliases...))
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if base.Kind() == reflect.Interface || base.Kind() == reflect.Pointer {
		fault("type %v: must be a concrete type or a pointer to one", registered)
	}
	if o.Version < 1 || o.Oldest < 1 || o.Oldest > o.Version {
		fault("version %d, oldest %d: need 1 ≤ oldest ≤ version", o.Version, o.Oldest)
	}
	if o.Codec.ContentType() == "" {
		fault("codec %T: gives no content type", o.Codec)
	}
	steps, err := newChain(o.Oldest, o.Version, o.Upcasters, o.Codec)
	faults = append(faults, err)
	e := &entry{
		Type: Type{
			Name: name, Aliases: slices.Clone(o.Aliases), Version: o.Version, Oldest: o.Oldest,
			ContentType: o.Codec.ContentType(), Go: registered,
		},
		base:  base,
		codec: o.Codec,
		steps: steps,
	}
	if registered == base {
		e.decode = func(data []byte) (any, error) {
			var v T
			err := o.Codec.Unmarshal(data, &v)
			return v, err
		}
	} else {
		e.decode = func(data []byte) (any, error) {
			v := reflect.New(base).Interface()
			err := o.Codec.Unmarshal(data, v)
			return v, err
		}
	}
	return e, errors.Join(faults...)
}

func validateNames(names []string) (faults []error) {
	for _, name := range names {
		if err := event.ValidateName(name); err != nil {
			faults = append(faults, fmt.Errorf("name: %w", err))
		} else if strings.HasPrefix(name, "$") {
			faults = append(faults, fmt.Errorf("name %q: those that begin with $ belong to the store", name))
		}
	}
	return faults
}
