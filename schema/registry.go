package schema

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Registry holds the registered types. It is safe for concurrent use; reading takes no lock.
type Registry struct {
	mu     sync.Mutex // held by writers
	tables atomic.Pointer[tables]
}

// tables are never changed: registering makes new ones.
type tables struct {
	byName map[string]*entry
	byType map[reflect.Type]*entry // by the type that pointers point to
}

type entry struct {
	Type
	base   reflect.Type // nil for a type that is dropped
	codec  Codec
	steps  chain
	decode func(data []byte) (any, error)
	into   func(v any) ([]any, error) // gives the values that it is read as instead; nil: itself, or none if it is Replaced
}

// Type describes a registered type.
type Type struct {
	Name        string
	Aliases     []string // other names under which it is stored
	Version     int      // current
	Oldest      int
	ContentType string
	Go          reflect.Type   // that stored data is decoded into; nil where the type is dropped
	Replaced    bool           // such events are read, and not written any more: see Split and Drop
	Parts       []reflect.Type // as which they are read then
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	r := &Registry{}
	r.tables.Store(&tables{})
	return r
}

// add stores an entry unless it has faults, or its name or type is taken; all of that is reported together.
func (r *Registry) add(e *entry, faults error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.tables.Load()
	names := append([]string{e.Name}, e.Aliases...)
	for i, name := range names {
		if other, taken := old.byName[name]; taken {
			faults = errors.Join(faults, fmt.Errorf("name %w, for %v", ErrDuplicate, other.Go))
		}
		if slices.Contains(names[:i], name) {
			faults = errors.Join(faults, fmt.Errorf("alias %q: is there twice", name))
		}
	}
	if other, taken := old.byType[e.base]; taken && e.base != nil {
		faults = errors.Join(faults, fmt.Errorf("type %w, as %q", ErrDuplicate, other.Name))
	}
	if faults != nil {
		return faults
	}
	next := &tables{byName: maps.Clone(old.byName), byType: maps.Clone(old.byType)}
	if next.byName == nil {
		next.byName, next.byType = map[string]*entry{}, map[reflect.Type]*entry{}
	}
	for _, name := range names {
		next.byName[name] = e
	}
	if e.base != nil {
		next.byType[e.base] = e
	}
	r.tables.Store(next)
	return nil
}

// Types lists what is registered, by name.
func (r *Registry) Types() []Type {
	entries := r.tables.Load().byName
	types := make([]Type, 0, len(entries))
	for name, e := range entries {
		if name == e.Name {
			types = append(types, e.Type)
		}
	}
	slices.SortFunc(types, func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
	return types
}

// NameFor gives the name under which a T (a type or a pointer to it) is stored now; ErrUnregistered where there is none.
// To select the events that give a T, use NamesFor: they may have been stored under other names.
func NameFor[T any](r *Registry) (string, error) {
	t := reflect.TypeFor[T]()
	e, ok := r.tables.Load().forType(t)
	if !ok {
		return "", fmt.Errorf("name of event type %v: %w", t, ErrUnregistered)
	}
	return e.Name, nil
}

// NamesFor gives all names under which events are stored that give a T, or pointers to it, for use in queries: its own
// first, then its aliases, then those of types that are split into it; ErrUnregistered where there are none.
func NamesFor[T any](r *Registry) ([]string, error) { return r.NamesOf(reflect.TypeFor[T]()) }

// NamesOf is NamesFor for a type that is known at run time only.
func (r *Registry) NamesOf(t reflect.Type) ([]string, error) {
	all := r.tables.Load()
	var names []string
	if e, ok := all.forType(t); ok {
		names = append(append(names, e.Name), e.Aliases...)
	}
	own := len(names)
	for name, e := range all.byName {
		if slices.ContainsFunc(e.Parts, func(part reflect.Type) bool { return baseOf(part) == baseOf(t) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names[own:])
	if len(names) == 0 {
		return nil, fmt.Errorf("names of event type %v: %w", t, ErrUnregistered)
	}
	return names, nil
}

// baseOf is what a pointer type points to, and any other type itself.
func baseOf(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func (t *tables) forType(goType reflect.Type) (*entry, bool) {
	if goType == nil {
		return nil, false
	}
	e, ok := t.byType[baseOf(goType)]
	return e, ok
}
