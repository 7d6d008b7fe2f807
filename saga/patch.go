package saga

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"lexigram.dev/events/store"
)

// patch takes a change of the data in.
func (s *state) patch(e *entry) error {
	switch {
	case e.Whole != nil:
		s.data = e.Whole
		return nil
	case len(e.Set) == 0 && len(e.Drop) == 0:
		return nil
	}
	fields, ok := object(s.data)
	if !ok {
		return fmt.Errorf("event %s: %w: it changes fields of what has none", e.kind, store.ErrCorrupt)
	}
	maps.Copy(fields, e.Set)
	for _, name := range e.Drop {
		delete(fields, name)
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("event %s: %w: %w", e.kind, store.ErrCorrupt, err)
	}
	s.data = data
	return nil
}

// change writes into an entry what has changed between two encodings of the data: the fields at the top level, or all of
// it where it is no object.
func change(e *entry, before, after json.RawMessage) {
	if bytes.Equal(before, after) {
		return
	}
	old, wasObject := object(before)
	fields, isObject := object(after)
	if !wasObject || !isObject {
		e.Whole = after
		return
	}
	for name, value := range fields {
		if was, ok := old[name]; ok && bytes.Equal(was, value) {
			continue
		}
		if e.Set == nil {
			e.Set = map[string]json.RawMessage{}
		}
		e.Set[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, ok := fields[name]; !ok {
			e.Drop = append(e.Drop, name)
		}
	}
}

func object(data json.RawMessage) (map[string]json.RawMessage, bool) {
	if len(data) == 0 || data[0] != '{' {
		return nil, false
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(data, &fields)
	return fields, err == nil && fields != nil
}

// equalJSON compares what two encodings mean.
func equalJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
