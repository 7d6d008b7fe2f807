package schema_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

// What order.changed held before it was split.
type changed struct {
	Lines   int    `json:"lines"`
	Address string `json:"address"`
}

type linesChanged struct {
	Lines int `json:"lines"`
}

type addressChanged struct {
	Address string `json:"address"`
}

func splitChanged(c changed) ([]any, error) {
	if c.Lines < 0 {
		return nil, errors.New("negative")
	}
	var parts []any
	if c.Lines > 0 {
		parts = append(parts, linesChanged{c.Lines})
	}
	if c.Address != "" {
		parts = append(parts, &addressChanged{c.Address})
	}
	return parts, nil
}

func splitting(t *testing.T) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	register(t, schema.Register[linesChanged](r, "order.lines_changed", schema.Options{Aliases: []string{"order.lines"}}))
	register(t, schema.Register[addressChanged](r, "order.address_changed", schema.Options{}))
	register(t, schema.Split(r, "order.changed", schema.Options{
		Version: 2, Upcasters: []schema.Upcaster{schema.Upcast(1, func(old struct{ Number int }) (changed, error) { return changed{Lines: old.Number}, nil })},
	}, splitChanged, schema.Into[linesChanged](), schema.Into[addressChanged]()))
	register(t, schema.Drop(r, "order.debug", "order.trace"))
	return r
}

func at(typeName string, version int, data string) *event.Recorded {
	return stored(event.Pending{Type: typeName, SchemaVersion: version, ContentType: event.JSON, Data: []byte(data)})
}

func TestOneStoredEventIsReadAsSeveralOneOrNone(t *testing.T) {
	r := splitting(t)
	for _, c := range []struct {
		e    *event.Recorded
		want []any
	}{
		{at("order.changed", 2, `{"lines":3,"address":"x"}`), []any{linesChanged{3}, &addressChanged{"x"}}},
		{at("order.changed", 2, `{"address":"x"}`), []any{&addressChanged{"x"}}},
		{at("order.changed", 2, `{}`), nil},
		{at("order.changed", 1, `{"Number":5}`), []any{linesChanged{5}}},
		{at("order.debug", 7, `not even JSON`), nil},
		{at("order.lines", 1, `{"lines":1}`), []any{linesChanged{1}}},
	} {
		got, err := r.DecodeAll(c.e)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %s: got %v (%v), want %v", c.e.Type, c.e.Data, got, err, c.want)
		}
	}
	_, err := r.DecodeAll(at("order.changed", 2, `{"lines":-1}`))
	wantError(t, err, nil, "split: negative", "order-7")
	for _, name := range []string{"order.changed", "order.debug"} {
		_, err = r.Decode(at(name, 2, `{}`))
		wantError(t, err, schema.ErrReplaced, name, "DecodeAll")
	}
	_, err = r.Encode(changed{})
	wantError(t, err, schema.ErrReplaced, "changed")
}

func TestTheNamesOfATypeAreAllUnderWhichItsEventsAreStored(t *testing.T) {
	r := splitting(t)
	names, err := schema.NamesFor[*linesChanged](r)
	if err != nil || fmt.Sprint(names) != "[order.lines_changed order.lines order.changed]" {
		t.Errorf("got %v (%v)", names, err)
	}
	if name, err := schema.NameFor[linesChanged](r); err != nil || name != "order.lines_changed" {
		t.Errorf("got %v (%v)", name, err)
	}
	_, err = schema.NamesFor[placed](r)
	wantError(t, err, schema.ErrUnregistered, "placed")
	if types := r.Types(); len(types) != 5 {
		t.Errorf("an alias is listed as a type: %v", types)
	}
}

func TestAFaultySplitIsRefused(t *testing.T) {
	r := splitting(t)
	wantError(t, schema.Split(r, "a", schema.Options{}, func(placed) ([]any, error) { return nil, nil }), nil, "no parts", "Drop")
	wantError(t, schema.Split[placed](r, "a", schema.Options{}, nil, schema.Into[placed]()), nil, "the function is nil", "another type")
	wantError(t, schema.Drop(r, "order.lines", "$x"), schema.ErrDuplicate, "order.lines", "belong to the store")
	wantError(t, schema.Register[placed](r, "b", schema.Options{Aliases: []string{"b", "order.debug"}}), schema.ErrDuplicate, "there twice")
	register(t, schema.Split(r, "wild", schema.Options{}, func(placed) ([]any, error) { return []any{3, nil}, nil }, schema.Into[linesChanged]()))
	_, err := r.DecodeAll(at("wild", 1, `{}`))
	wantError(t, err, nil, "gave a int", "Into")
}

func TestATypedUpcasterTakesTheCodecOfItsType(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[note](r, "note", schema.Options{
		Version: 3, Codec: text{"text/plain"},
		Upcasters: []schema.Upcaster{
			schema.Upcast(1, func(old note) (note, error) { return old + "!", nil }),
			schema.Upcast(2, func(old note) (note, error) {
				if strings.HasPrefix(string(old), "bad") {
					return "", errors.New("no good")
				}
				return old + "?", nil
			}),
		},
	}))
	got, err := r.Decode(stored(event.Pending{Type: "note", SchemaVersion: 1, ContentType: "text/plain", Data: []byte("x")}))
	if err != nil || got != note("x!?") {
		t.Errorf("got %v (%v)", got, err)
	}
	_, err = r.Decode(stored(event.Pending{Type: "note", SchemaVersion: 2, ContentType: "text/plain", Data: []byte("bad")}))
	wantError(t, err, nil, "upcast from version 2 to 3: no good")
	wantError(t, schema.Register[placed](r, "p", schema.Options{Version: 2, Upcasters: []schema.Upcaster{schema.Upcast[placed, placed](1, nil)}}), nil, "no function")
}

func TestSkewIsToldFromOtherFaults(t *testing.T) {
	r := splitting(t)
	known := r.Known()
	for _, c := range []struct {
		e    *event.Recorded
		want schema.Skew
	}{
		{at("order.lost", 1, `{}`), schema.UnknownType},
		{at("order.changed", 3, `{}`), schema.NewerVersion},
		{at("order.changed", 2, `{`), schema.NoSkew},
		{at("order.changed", 2, `{"lines":1,"more":2}`), schema.NoSkew}, // a field more is none
		{at("order.trace", 9, ``), schema.NoSkew},
	} {
		_, err := r.DecodeAll(c.e)
		if got, _ := schema.SkewOf(fmt.Errorf("handle: %w", err)); got != c.want {
			t.Errorf("%s, version %d: %q (%v), want %q", c.e.Type, c.e.SchemaVersion, got, err, c.want)
		}
		if got, _ := schema.SkewOf(known.Check(c.e)); got != c.want {
			t.Errorf("%s, version %d: %q of the known set, want %q", c.e.Type, c.e.SchemaVersion, got, c.want)
		}
	}
	_, err := r.Encode(placed{})
	if skew, _ := schema.SkewOf(err); skew != schema.NoSkew {
		t.Error("a type that cannot be encoded is no skew")
	}
	if schema.Known(nil).Check(at("x", 1, "")) != nil || (schema.Known{}).Check(at(event.TombstoneType, 1, "")) != nil {
		t.Error("nil knows all, and the store's own types are known to everybody")
	}
}

// FuzzDecode: whatever is stored, decoding gives values or an error, and never panics or changes the event.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"lines":3,"address":"x"}`, `{}`, `{"Number":5}`, `[`, `null`, `{"lines":1e99}`, "\xff", `{"lines":-1}`} {
		for _, name := range []string{"order.changed", "order.lines", "order.debug", "other"} {
			f.Add(name, 1, event.JSON, []byte(seed))
			f.Add(name, 2, "text/plain; charset", []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, name string, version int, contentType string, data []byte) {
		r := splitting(t)
		e := &event.Recorded{Type: name, SchemaVersion: version, ContentType: contentType, Data: append([]byte(nil), data...)}
		values, err := r.DecodeAll(e)
		if err != nil {
			var d *schema.DecodeError
			if !errors.As(err, &d) || len(values) != 0 {
				t.Errorf("got %v and %v", values, err)
			}
		}
		if string(e.Data) != string(data) {
			t.Error("the stored data was changed")
		}
		for _, v := range values {
			p, err := r.Encode(v)
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			again, err := r.DecodeAll(at(p.Type, p.SchemaVersion, string(p.Data)))
			if err != nil || len(again) != 1 || !reflect.DeepEqual(deref(again[0]), deref(v)) {
				t.Errorf("%v comes back as %v (%v)", v, again, err)
			}
		}
	})
}

func deref(v any) any {
	if value := reflect.ValueOf(v); value.Kind() == reflect.Pointer {
		return value.Elem().Interface()
	}
	return v
}
