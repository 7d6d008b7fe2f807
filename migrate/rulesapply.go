package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"lexigram.dev/events/event"
)

// apply makes of an event what the rules say.
func (r *Rules) apply(e event.Recorded) ([]Output, error) {
	out, err := Same(e)
	if err != nil {
		return nil, err
	}
	doc := document{data: out.Event.Data, isJSON: out.Event.ContentType == event.JSON || strings.HasSuffix(out.Event.ContentType, "+json")}
	for i, rule := range r.rules {
		if rule.DropType != nil && rule.DropType.Type == out.Event.Type {
			return nil, nil
		}
		rule.head(&out)
		if err := rule.fields(out.Event.Type, &doc); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	out.Event.Data, err = doc.bytes()
	return []Output{out}, err
}

// head does what concerns no fields.
func (r *Rule) head(out *Output) {
	if x := r.RenameType; x != nil && x.From == out.Event.Type {
		out.Event.Type = x.To
	}
	if x := r.SetSchemaVersion; x != nil && x.Type == out.Event.Type {
		out.Event.SchemaVersion = x.Version
	}
	out.Stream = r.move(out.Stream)
}

// fields does what concerns fields.
func (r *Rule) fields(typeName string, doc *document) error {
	switch {
	case r.RenameField != nil:
		x := r.RenameField
		return doc.edit(typeName, x.Type, x.Field, func(object map[string]any, name string) (bool, error) {
			value, there := object[name]
			if !there || name == x.To {
				return false, nil
			}
			if _, taken := object[x.To]; taken {
				return false, fmt.Errorf("rename field %s: there is a field %s already", x.Field, x.To)
			}
			delete(object, name)
			object[x.To] = value
			return true, nil
		})
	case r.DropField != nil:
		x := r.DropField
		return doc.edit(typeName, x.Type, x.Field, func(object map[string]any, name string) (bool, error) {
			_, there := object[name]
			delete(object, name)
			return there, nil
		})
	case r.SetDefault != nil:
		x := r.SetDefault
		return doc.edit(typeName, x.Type, x.Field, func(object map[string]any, name string) (bool, error) {
			if _, there := object[name]; there {
				return false, nil
			}
			decoder := json.NewDecoder(bytes.NewReader(x.Value)) // anew, since later rules may edit it
			decoder.UseNumber()
			var value any
			err := decoder.Decode(&value)
			object[name] = value
			return err == nil, err
		})
	}
	return nil
}

// document is data that is parsed when the first rule wants to edit it, and written anew only if one did. Numbers keep
// their digits; the fields of an object that was edited are sorted.
type document struct {
	data   []byte
	isJSON bool
	root   map[string]any
	fault  error // it is no object
	parsed bool
	edited bool
}

var errNoObject = errors.New("the data is no JSON object")

func (d *document) parse() error {
	if d.parsed {
		return d.fault
	}
	d.parsed, d.fault = true, errNoObject
	if !d.isJSON {
		return d.fault
	}
	decoder := json.NewDecoder(bytes.NewReader(d.data))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		d.fault = fmt.Errorf("%w: %w", errNoObject, err)
		return d.fault
	}
	object, ok := root.(map[string]any)
	if _, err := decoder.Token(); ok && errors.Is(err, io.EOF) {
		d.root, d.fault = object, nil
	}
	return d.fault
}

// edit calls do for each object that a path leads to, with the last name of the path.
func (d *document) edit(typeName, wanted, path string, do func(object map[string]any, name string) (bool, error)) error {
	if wanted != typeName && wanted != "*" {
		return nil
	}
	if err := d.parse(); err != nil {
		if wanted == "*" {
			return nil
		}
		return err
	}
	parts, err := parsePath(path)
	if err != nil {
		return err
	}
	edited, err := walk(d.root, parts, do)
	d.edited = d.edited || edited
	return err
}

func (d *document) bytes() ([]byte, error) {
	if !d.edited {
		return d.data, nil
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d.root); err != nil {
		return nil, fmt.Errorf("encode the data: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// part is one name of a path.
type part struct {
	name   string
	arrays int // so many arrays are gone through behind it
}

func parsePath(path string) ([]part, error) {
	var parts []part
	for _, text := range strings.Split(path, ".") {
		p := part{name: text}
		for strings.HasSuffix(p.name, "[]") {
			p.name, p.arrays = strings.TrimSuffix(p.name, "[]"), p.arrays+1
		}
		if p.name == "" || strings.ContainsAny(p.name, "[]") {
			return nil, errors.New(`must be names divided by ".", with "[]" behind those of arrays`)
		}
		parts = append(parts, p)
	}
	if parts[len(parts)-1].arrays > 0 {
		return nil, errors.New(`must not end with "[]"`)
	}
	return parts, nil
}

func walk(value any, parts []part, do func(map[string]any, string) (bool, error)) (edited bool, err error) {
	object, ok := value.(map[string]any)
	if !ok {
		return false, nil
	}
	if len(parts) == 1 {
		return do(object, parts[0].name)
	}
	return each(object[parts[0].name], parts[0].arrays, func(inner any) (bool, error) { return walk(inner, parts[1:], do) })
}

// each calls do for a value, or through so many arrays for all elements.
func each(value any, arrays int, do func(any) (bool, error)) (edited bool, err error) {
	if arrays == 0 {
		return do(value)
	}
	elements, _ := value.([]any)
	for _, element := range elements {
		did, err := each(element, arrays-1, do)
		if err != nil {
			return edited, err
		}
		edited = edited || did
	}
	return edited, nil
}
