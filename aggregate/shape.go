package aggregate

import (
	"encoding"
	"encoding/json"
	"reflect"
)

// lostByJSON lists the unexported fields inside S that encoding/json would leave out, by path. Types that encode
// themselves are taken on trust, and so are fields that a tag leaves out by name.
func lostByJSON[S any]() []string {
	w := shapeWalk{seen: map[reflect.Type]bool{reflect.TypeFor[Root](): true}}
	w.walk(reflect.TypeFor[S](), "")
	return w.lost
}

type shapeWalk struct {
	seen map[reflect.Type]bool
	lost []string
}

func (w *shapeWalk) walk(t reflect.Type, path string) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		if !encodesItself(t) {
			w.walk(t.Elem(), path)
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		if !encodesItself(t) {
			w.walk(t.Elem(), path+"[]")
		}
	case reflect.Struct:
		if encodesItself(t) || encodesItself(reflect.PointerTo(t)) {
			return
		}
		if path == "" {
			path = t.String()
		}
		for f := range t.Fields() {
			switch name := path + "." + f.Name; {
			case f.Tag.Get("json") == "-":
			case f.IsExported(), f.Anonymous && f.Type.Kind() == reflect.Struct: // JSON goes into embedded structs
				w.walk(f.Type, name)
			default:
				w.lost = append(w.lost, name)
			}
		}
	}
}

func encodesItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}
