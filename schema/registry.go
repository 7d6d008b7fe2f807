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
	base   reflect.Type
	codec  Codec
	steps  chain
	decode func(data []byte) (any, error)
}

// Type describes a registered type.
type Type struct {
	Name        string
	Version     int // current
	Oldest      int
	ContentType string
	Go          reflect.Type
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
	if other, taken := old.byName[e.Name]; taken {
		faults = errors.Join(faults, fmt.Errorf("name %w, for %v", ErrDuplicate, other.Go))
	}
	if other, taken := old.byType[e.base]; taken {
		faults = errors.Join(faults, fmt.Errorf("type %w, as %q", ErrDuplicate, other.Name))
	}
	if faults != nil {
		return faults
	}
	next := &tables{byName: maps.Clone(old.byName), byType: maps.Clone(old.byType)}
	if next.byName == nil {
		next.byName, next.byType = map[string]*entry{}, map[reflect.Type]*entry{}
	}
	next.byName[e.Name] = e
	next.byType[e.base] = e
	r.tables.Store(next)
	return nil
}

// Types lists what is registered, by name.
func (r *Registry) Types() []Type {
	entries := r.tables.Load().byName
	types := make([]Type, 0, len(entries))
	for _, e := range entries {
		types = append(types, e.Type)
	}
	slices.SortFunc(types, func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
	return types
}

// NameFor gives the stored name of T (a type or a pointer to it), for use in queries; ErrUnregistered where there is none.
func NameFor[T any](r *Registry) (string, error) {
	t := reflect.TypeFor[T]()
	e, ok := r.tables.Load().forType(t)
	if !ok {
		return "", fmt.Errorf("name of event type %v: %w", t, ErrUnregistered)
	}
	return e.Name, nil
}

func (t *tables) forType(goType reflect.Type) (*entry, bool) {
	if goType == nil {
		return nil, false
	}
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	e, ok := t.byType[goType]
	return e, ok
}
