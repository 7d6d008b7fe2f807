package schema

import (
	"errors"
	"fmt"
	"reflect"
)

// Part is a type as which events of another one are read. It is made by Into.
type Part struct{ goType reflect.Type }

// Into names a Go type that a split gives: T, or pointers to it.
func Into[T any]() Part { return Part{reflect.TypeFor[T]()} }

// Split tells the registry that stored events of the given name are read as other ones: decoded into an Old, through the
// upcasters of its options, and from there into the values that split gives: several, one, or none where the event is of
// no concern any more. They are of the types that parts name, which are registered on their own; events of Old are not
// written any more, and encoding one gives ErrReplaced.
//
// The log stays as it is. All values of an event have its id, version and position: a fold sees one after the other, and
// a handler of a subscription too, with one checkpoint behind the last. Consumers select by the stored name, which
// NamesFor finds. To make one event of several is not possible when reading: copy the log (package migrate).
func Split[Old any](r *Registry, name string, o Options, split func(Old) ([]any, error), parts ...Part) error {
	e, faults := newEntry[Old](name, o)
	e.Replaced = true
	e.into = func(v any) ([]any, error) { return split(v.(Old)) }
	if split == nil {
		faults = errors.Join(faults, errors.New("the function is nil"))
	}
	for _, part := range parts {
		if part.goType == nil || baseOf(part.goType) == e.base {
			faults = errors.Join(faults, fmt.Errorf("part %v: must be another type, named by Into", part.goType))
			continue
		}
		e.Parts = append(e.Parts, part.goType)
	}
	if len(parts) == 0 {
		faults = errors.Join(faults, errors.New("there are no parts; to read such events as nothing, use Drop"))
	}
	return r.register(e, faults)
}

// Drop tells the registry that stored events of the given names are of no concern any more: they are read as no value at
// all, whatever they hold and in whichever version they are. That is said by hand, so that it is never mistaken for a type
// whose registration was forgotten.
func Drop(r *Registry, names ...string) error {
	var faults []error
	for _, name := range names {
		e := &entry{Type: Type{Name: name, Version: 1, Oldest: 1, ContentType: (JSON{}).ContentType(), Replaced: true}}
		faults = append(faults, r.register(e, errors.Join(validateNames([]string{name})...)))
	}
	return errors.Join(faults...)
}
