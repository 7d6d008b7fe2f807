package schemalock

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Shape is what a Go type looks like in JSON. Its zero fields are left out of the file.
type Shape struct {
	// Kind is "object", "array", "map", "string", "bytes", "time", "boolean", "integer" (with its bits in Bits), "number",
	// "any", "custom" (a type that writes itself), or "same" for a type that stands further out already.
	Kind string `json:"kind"`

	Bits     int              `json:"bits,omitempty"`     // of an integer or number
	Unsigned bool             `json:"unsigned,omitempty"` // of an integer
	Go       string           `json:"go,omitempty"`       // the Go type of "custom" and "same"
	Fields   map[string]Shape `json:"fields,omitempty"`   // of an object
	Elem     *Shape           `json:"elem,omitempty"`     // of an array, and of a map's values
	Length   int              `json:"length,omitempty"`   // of an array of fixed length
	Quoted   bool             `json:"quoted,omitempty"`   // a number or boolean that is written as text
}

// validate finds what ShapeOf does not make.
func (s Shape) validate() error {
	if (s.Kind == "array" || s.Kind == "map") != (s.Elem != nil) {
		return fmt.Errorf("a shape of kind %q: only arrays and maps have elem, and all of them do", s.Kind)
	}
	if s.Elem != nil {
		return s.Elem.validate()
	}
	for name, field := range s.Fields {
		if err := field.validate(); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
	}
	return nil
}

// ShapeOf gives the shape of a Go type.
func ShapeOf(t reflect.Type) Shape { return shapeOf(t, nil) }

// shapeOf gives the shape of a type within others.
func shapeOf(t reflect.Type, outer []reflect.Type) Shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem() // null and the value: which of them is not part of the shape
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return Shape{Kind: "time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return Shape{Kind: "any"}
	case writesItself[json.Marshaler](t):
		return Shape{Kind: "custom", Go: t.String()}
	case writesItself[encoding.TextMarshaler](t):
		return Shape{Kind: "string"}
	case slices.Contains(outer, t):
		return Shape{Kind: "same", Go: t.String()}
	}
	outer = append(slices.Clip(outer), t)
	switch t.Kind() {
	case reflect.Bool:
		return Shape{Kind: "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Shape{Kind: "integer", Bits: bits(t)}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return Shape{Kind: "integer", Bits: bits(t), Unsigned: true}
	case reflect.Float32, reflect.Float64:
		return Shape{Kind: "number", Bits: t.Bits()}
	case reflect.String:
		return Shape{Kind: "string"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !writesItself[json.Marshaler](t.Elem()) && !writesItself[encoding.TextMarshaler](t.Elem()) {
			return Shape{Kind: "bytes"}
		}
		elem := shapeOf(t.Elem(), outer)
		return Shape{Kind: "array", Elem: &elem}
	case reflect.Array:
		elem := shapeOf(t.Elem(), outer)
		return Shape{Kind: "array", Elem: &elem, Length: t.Len()}
	case reflect.Map:
		elem := shapeOf(t.Elem(), outer)
		return Shape{Kind: "map", Elem: &elem}
	case reflect.Struct:
		return Shape{Kind: "object", Fields: fieldsOf(t, outer)}
	case reflect.Interface:
		return Shape{Kind: "any"}
	default: // channels and functions, which JSON refuses
		return Shape{Kind: "custom", Go: t.String()}
	}
}

// bits counts int and uint as 64, whatever the machine: a lock is the same everywhere.
func bits(t reflect.Type) int {
	if t.Kind() == reflect.Int || t.Kind() == reflect.Uint || t.Kind() == reflect.Uintptr {
		return 64
	}
	return t.Bits()
}

// writesItself reports whether values of a type, or pointers to them, have the method of M.
func writesItself[M any](t reflect.Type) bool {
	how := reflect.TypeFor[M]()
	return t.Kind() != reflect.Interface && (t.Implements(how) || reflect.PointerTo(t).Implements(how))
}

// fieldsOf gives the fields of a struct as encoding/json does: of those with one name the least deeply embedded counts, and
// among these the one with a tag; where two are left, none does.
func fieldsOf(t reflect.Type, outer []reflect.Type) map[string]Shape {
	found := map[string]*field{}
	collect(t, 0, nil, outer, found)
	shapes := make(map[string]Shape, len(found))
	for name, f := range found {
		if f.rivals == 0 {
			shapes[name] = f.shape
		}
	}
	return shapes
}

type field struct {
	depth, rivals int
	tagged        bool
	shape         Shape
}

// collect finds the fields of a struct, and of those that are embedded in it: within has the structs on the way to it.
func collect(t reflect.Type, depth int, within, outer []reflect.Type, found map[string]*field) {
	if slices.Contains(within, t) {
		return
	}
	within = append(slices.Clip(within), t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			collect(embedded, depth+1, within, outer, found)
		case f.IsExported():
			this := &field{depth: depth, tagged: name != "", shape: shapeOf(f.Type, outer)}
			if name == "" {
				name = f.Name
			}
			if kind := this.shape.Kind; slices.Contains(strings.Split(options, ","), "string") {
				this.shape.Quoted = kind == "integer" || kind == "number" || kind == "boolean"
			}
			switch other := found[name]; {
			case other == nil, this.depth < other.depth, this.depth == other.depth && this.tagged && !other.tagged:
				found[name] = this
			case this.depth == other.depth && this.tagged == other.tagged:
				other.rivals++
			}
		}
	}
}
