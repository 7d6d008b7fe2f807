package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Rules are a transform as a list, for those who do not write Go: each rule is applied to what the ones before it have
// made of an event. They are not changed after they were read, so they are safe for concurrent use.
type Rules struct {
	rules []Rule
}

// Rule is one rule: exactly one of its fields is set. Type "*" in a rule over fields means all events whose data is a JSON
// object. Fields are named by their path, parts divided by "."; "[]" after a name stands for all elements of an array, as
// in "lines[].price". A rule over fields gives an error for data of its type that is no JSON object.
type Rule struct {
	RenameType       *FromTo       `json:"rename_type,omitempty"`
	DropType         *OfType       `json:"drop_type,omitempty"`
	SetSchemaVersion *TypeVersion  `json:"set_schema_version,omitempty"`
	RenameField      *FieldName    `json:"rename_field,omitempty"`
	DropField        *Field        `json:"drop_field,omitempty"`
	SetDefault       *FieldDefault `json:"set_default,omitempty"` // where the field is missing; null is not missing
	MoveCategory     *FromTo       `json:"move_category,omitempty"`
}

// FromTo is an old and a new name.
type FromTo struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// OfType names a type.
type OfType struct {
	Type string `json:"type"`
}

// TypeVersion is a type and the schema version that its events get.
type TypeVersion struct {
	Type    string `json:"type"`
	Version int    `json:"version"`
}

// Field is a field of a type.
type Field struct {
	Type  string `json:"type"`
	Field string `json:"field"`
}

// FieldName is a field and its new name, in the same object.
type FieldName struct {
	Type  string `json:"type"`
	Field string `json:"field"`
	To    string `json:"to"`
}

// FieldDefault is a field and a value for it.
type FieldDefault struct {
	Type  string          `json:"type"`
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
}

// ParseRules reads rules from JSON: {"rules": [{"rename_type": {"from": "a", "to": "b"}}, …]}. All faults are reported
// together, by the number of their rule, as store.ErrInvalid.
func ParseRules(data []byte) (*Rules, error) {
	var file struct {
		Rules []json.RawMessage `json:"rules"`
	}
	if err := strictly(data, &file); err != nil {
		return nil, fmt.Errorf("transform: %w: %w", store.ErrInvalid, err)
	}
	r := &Rules{rules: make([]Rule, len(file.Rules))}
	var faults []error
	for i, raw := range file.Rules {
		err := strictly(raw, &r.rules[i])
		if err == nil {
			err = r.rules[i].validate()
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("rule %d: %w", i+1, err))
		}
	}
	if len(file.Rules) == 0 {
		faults = append(faults, errors.New("there are no rules"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("transform: %w: %w", store.ErrInvalid, err)
	}
	return r, nil
}

// strictly decodes one JSON value without fields that the target does not have.
func strictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the value")
	}
	return nil
}

func (r *Rule) validate() error {
	var faults []error
	set := 0
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	typeName := func(name string, all bool) {
		if all && name == "*" {
			return
		}
		err := event.ValidateName(name)
		check(err == nil && !strings.HasPrefix(name, "$"), "type %q: cannot be the type of an event", name)
	}
	path := func(path string) {
		_, err := parsePath(path)
		check(err == nil, "field %q: %v", path, err)
	}
	if x := r.RenameType; x != nil {
		set++
		typeName(x.From, false)
		typeName(x.To, false)
		check(x.From != x.To, "from and to are the same type")
	}
	if x := r.DropType; x != nil {
		set++
		typeName(x.Type, false)
	}
	if x := r.SetSchemaVersion; x != nil {
		set++
		typeName(x.Type, false)
		check(x.Version >= 1, "version %d: must be at least 1", x.Version)
	}
	if x := r.RenameField; x != nil {
		set++
		typeName(x.Type, true)
		path(x.Field)
		check(x.To != "" && !strings.ContainsAny(x.To, ".[]"), "to %q: must be a name, for the same object", x.To)
	}
	if x := r.DropField; x != nil {
		set++
		typeName(x.Type, true)
		path(x.Field)
	}
	if x := r.SetDefault; x != nil {
		set++
		typeName(x.Type, true)
		path(x.Field)
		check(len(x.Value) > 0, "a value is needed")
	}
	if x := r.MoveCategory; x != nil {
		set++
		for _, category := range []string{x.From, x.To} {
			err := event.ValidateName(category)
			check(err == nil && !strings.Contains(category, "-") && category != controlCategory, "category %q: cannot be the category of a stream", category)
		}
		check(x.From != x.To, "from and to are the same category")
	}
	check(set == 1, "has %d of rename_type, drop_type, set_schema_version, rename_field, drop_field, set_default and move_category: must be one", set)
	return errors.Join(faults...)
}

// Moves gives the categories that the rules move events from, and to: what a copy within one store reads and writes.
func (r *Rules) Moves() (from, to []string) {
	for _, rule := range r.rules {
		if m := rule.MoveCategory; m != nil {
			if !slices.Contains(to, m.From) { // else it is moved on
				from = append(from, m.From)
			} else {
				to = slices.DeleteFunc(to, func(category string) bool { return category == m.From })
			}
			to = append(to, m.To)
		}
	}
	slices.Sort(from)
	slices.Sort(to)
	return slices.Compact(from), slices.Compact(to)
}

// New makes a transform of the rules. It needs to know nothing of earlier events: TransformOptions.Stateless may be set.
func (r *Rules) New() Transform {
	return Transform{
		Event: r.apply,
		Deleted: func(stream event.StreamID) []event.StreamID {
			for _, rule := range r.rules {
				stream = rule.move(stream)
			}
			return []event.StreamID{stream}
		},
	}
}

func (r *Rule) move(stream event.StreamID) event.StreamID {
	if m := r.MoveCategory; m != nil && stream.Category() == m.From {
		return event.StreamID(m.To + strings.TrimPrefix(string(stream), m.From))
	}
	return stream
}
