package schemalock

import (
	"fmt"
	"maps"
	"slices"
)

// Compatibility says between whom events must be readable.
type Compatibility string

// Who must be able to read what.
const (
	// Backward is that programs of today read the events that are stored.
	Backward Compatibility = "backward"
	// Forward is that programs from before, which still run somewhere, read the events of today.
	Forward Compatibility = "forward"
	// Full is both.
	Full Compatibility = "full"
)

// ParseCompatibility reads a name.
func ParseCompatibility(name string) (Compatibility, error) {
	all := []Compatibility{Backward, Forward, Full}
	if slices.Contains(all, Compatibility(name)) {
		return Compatibility(name), nil
	}
	return "", fmt.Errorf("compatibility %q: must be one of %v", name, all)
}

// Change is one difference between a lock and the types of today.
type Change struct {
	Type   string `json:"type"`            // its stored name
	Field  string `json:"field,omitempty"` // where in it, parts divided by "."; "[]" an array's or map's elements
	Text   string `json:"text"`            // what has changed
	Cure   string `json:"cure,omitempty"`  // what to do, where it breaks
	Breaks bool   `json:"breaks"`          // under the compatibility that was asked for

	harmful Compatibility // to whom; "": to nobody
}

// String gives the change on one line.
func (c Change) String() string {
	text := c.Type
	if c.Field != "" {
		text += ", field " + c.Field
	}
	text += ": " + c.Text
	if c.Breaks && c.Cure != "" {
		text += "; " + c.Cure
	}
	return text
}

const raise = "raise the version of the type and add an upcaster, or take the change back"

// shapes compares the shape that is locked with that of today.
func shapes(field string, before, now Shape) []Change {
	changed := func(harm Compatibility) []Change {
		return []Change{{Field: field, Text: fmt.Sprintf("was %s, is %s", before, now), Cure: raise, harmful: harm}}
	}
	if before.Kind != now.Kind || before.Quoted != now.Quoted {
		switch {
		case now.Kind == "any":
			return changed(Forward) // reads all, and may write anything
		case before.Kind == "integer" && now.Kind == "number" && now.Bits == 64 && !before.Quoted && !now.Quoted && before.Bits <= 32:
			return changed(Forward)
		case before.Kind == "time" && now.Kind == "string":
			return changed(Forward)
		default:
			return changed(Full)
		}
	}
	switch now.Kind {
	case "integer":
		return widths(before, now, changed)
	case "number":
		if now.Bits < before.Bits {
			return changed(Backward)
		} else if now.Bits > before.Bits {
			return changed(Forward)
		}
	case "custom", "same":
		if before.Go != now.Go {
			return changed(Full)
		}
	case "array", "map":
		if before.Length != now.Length {
			return changed(Full)
		}
		return shapes(join(field, "[]"), *before.Elem, *now.Elem)
	case "object":
		return objects(field, before, now)
	}
	return nil
}

// widths compares integers: who has the wider range reads all that the other writes.
func widths(before, now Shape, changed func(Compatibility) []Change) []Change {
	holds := func(a, b Shape) bool { // all of b's values are a's
		if a.Unsigned == b.Unsigned {
			return a.Bits >= b.Bits
		}
		return !a.Unsigned && a.Bits > b.Bits
	}
	switch reads, read := holds(now, before), holds(before, now); {
	case reads && read:
		return nil
	case reads:
		return changed(Forward)
	case read:
		return changed(Backward)
	default:
		return changed(Full)
	}
}

func objects(field string, before, now Shape) (changes []Change) {
	for _, name := range slices.Sorted(maps.Keys(before.Fields)) {
		path := join(field, name)
		if today, ok := now.Fields[name]; ok {
			changes = append(changes, shapes(path, before.Fields[name], today)...)
			continue
		}
		changes = append(changes, Change{
			Field: path, Text: "has gone: what is stored of it is not read any more, and programs from before miss it",
			Cure: raise + "; was it renamed?", harmful: Full,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(now.Fields)) {
		if _, ok := before.Fields[name]; !ok {
			changes = append(changes, Change{Field: join(field, name), Text: "is new: events from before have its zero value"})
		}
	}
	return changes
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// String names a shape in a few words.
func (s Shape) String() string {
	text := s.Kind
	switch s.Kind {
	case "integer", "number":
		text = fmt.Sprintf("%s of %d bits", s.Kind, s.Bits)
		if s.Unsigned {
			text = "unsigned " + text
		}
	case "custom", "same":
		text = s.Go
	case "array":
		if s.Length > 0 {
			text = fmt.Sprintf("array of %d", s.Length)
		}
	}
	if s.Quoted {
		text += ", as text"
	}
	return text
}
