package schemalock_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/schema"
	"lexigram.dev/events/schema/schemalock"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// registryOf has one type, "order.placed".
func registryOf[T any](t *testing.T, o schema.Options) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	must(t, schema.Register[T](r, "order.placed", o))
	return r
}

type text string

func (t text) MarshalText() ([]byte, error) { return []byte(t), nil }

type money struct{ cents int }

func (m money) MarshalJSON() ([]byte, error) { return json.Marshal(m.cents) }

type Base struct {
	ID      string `json:"id"`
	Comment string
	Twice   int
}

type Other struct{ Twice int }

type node struct {
	Base
	*Other
	Comment  string  `json:"comment"`
	Children []*node `json:"children"`
	By       map[string]float32
	At       time.Time
	Raw      json.RawMessage
	Any      any
	Blob     []byte
	Code     text
	Price    *money
	Pair     [2]uint8
	Big      int64 `json:"big,string"`
	Hidden   int   `json:"-"`
	inside   int
}

func TestAShapeIsWhatJSONWrites(t *testing.T) {
	_ = node{}.inside
	got := schemalock.ShapeOf(reflect.TypeFor[node]())
	want := map[string]string{
		"id": "string", "Comment": "string", "comment": "string", "children": "array", "By": "map", "At": "time", "Raw": "any", "Any": "any",
		"Blob": "bytes", "Code": "string", "Price": "schemalock_test.money", "Pair": "array of 2", "big": "integer of 64 bits, as text",
	}
	for name, shape := range got.Fields {
		if want[name] != shape.String() {
			t.Errorf("field %s is %q, want %q", name, shape, want[name])
		}
	}
	if len(got.Fields) != len(want) {
		t.Errorf("%d fields, want %d: %v", len(got.Fields), len(want), got.Fields)
	}
	if elem := got.Fields["children"].Elem; elem.Kind != "same" || elem.Go != "schemalock_test.node" {
		t.Errorf("the children are %+v", elem)
	}
	// The same fields as encoding/json writes, which is what counts.
	data, err := json.Marshal(node{Base: Base{ID: "1"}, Other: &Other{}, Price: &money{}, Raw: json.RawMessage("1")})
	must(t, err)
	var written map[string]any
	must(t, json.Unmarshal(data, &written))
	for name := range written {
		if _, ok := got.Fields[name]; !ok {
			t.Errorf("encoding/json writes %q, the shape has no such field", name)
		}
	}
	if len(written) != len(got.Fields) {
		t.Errorf("encoding/json writes %d fields, the shape has %d", len(written), len(got.Fields))
	}
}

type v1 struct {
	ID    string `json:"id"`
	Count int32  `json:"count"`
	Lines []struct {
		Price int64 `json:"price"`
	} `json:"lines"`
}

// breaks tells which of the compatibilities a change of v1 to T breaks.
func breaks[T any](t *testing.T) (broken []schemalock.Compatibility, changes []schemalock.Change) {
	t.Helper()
	lock := schemalock.Take(registryOf[v1](t, schema.Options{}), nil)
	for _, c := range []schemalock.Compatibility{schemalock.Backward, schemalock.Forward, schemalock.Full} {
		changes = lock.Check(registryOf[T](t, schema.Options{}), c)
		if slices.ContainsFunc(changes, func(c schemalock.Change) bool { return c.Breaks }) {
			broken = append(broken, c)
		}
	}
	return broken, changes
}

func TestChangesBreakWhoTheyBreak(t *testing.T) {
	type line struct {
		Price int64 `json:"price"`
	}
	type same struct {
		ID    *string `json:"id"`
		Count int32   `json:"count"`
		Lines []*line `json:"lines"`
	}
	type added struct {
		ID    string `json:"id"`
		Count int32  `json:"count"`
		Lines []line `json:"lines"`
		Note  string `json:"note"`
	}
	type removed struct {
		ID    string `json:"id"`
		Lines []line `json:"lines"`
	}
	type wider struct {
		ID    string `json:"id"`
		Count int64  `json:"count"`
		Lines []line `json:"lines"`
	}
	type narrower struct {
		ID    string `json:"id"`
		Count int16  `json:"count"`
		Lines []line `json:"lines"`
	}
	type unsigned struct {
		ID    string `json:"id"`
		Count uint32 `json:"count"`
		Lines []line `json:"lines"`
	}
	type float struct {
		ID    string  `json:"id"`
		Count float64 `json:"count"`
		Lines []line  `json:"lines"`
	}
	type other struct {
		ID    string `json:"id"`
		Count string `json:"count"`
		Lines []line `json:"lines"`
	}
	type deep struct {
		ID    string `json:"id"`
		Count int32  `json:"count"`
		Lines []struct {
			Price string `json:"price"`
		} `json:"lines"`
	}
	const backward, forward, full = schemalock.Backward, schemalock.Forward, schemalock.Full
	for name, c := range map[string]struct {
		run  func(*testing.T) ([]schemalock.Compatibility, []schemalock.Change)
		want []schemalock.Compatibility
		text string
	}{
		"nothing":               {breaks[v1], nil, ""},
		"pointers":              {breaks[same], nil, ""},
		"a new field":           {breaks[added], nil, "order.placed, field note: is new: events from before have its zero value"},
		"a field less":          {breaks[removed], []schemalock.Compatibility{backward, forward, full}, "order.placed, field count: has gone"},
		"a wider integer":       {breaks[wider], []schemalock.Compatibility{forward, full}, "field count: was integer of 32 bits, is integer of 64 bits"},
		"a narrower integer":    {breaks[narrower], []schemalock.Compatibility{backward, full}, "is integer of 16 bits"},
		"without negative ones": {breaks[unsigned], []schemalock.Compatibility{backward, forward, full}, "is unsigned integer of 32 bits"},
		"a float":               {breaks[float], []schemalock.Compatibility{forward, full}, "is number of 64 bits"},
		"another kind":          {breaks[other], []schemalock.Compatibility{backward, forward, full}, "is string; raise the version of the type"},
		"deep inside":           {breaks[deep], []schemalock.Compatibility{backward, forward, full}, "field lines.[].price: was integer of 64 bits, is string"},
	} {
		t.Run(name, func(t *testing.T) {
			broken, changes := c.run(t)
			if !slices.Equal(broken, c.want) {
				t.Errorf("it breaks %q, want %q", broken, c.want)
			}
			if c.text == "" && len(changes) > 0 || c.text != "" && (len(changes) != 1 || !strings.Contains(changes[0].String(), c.text)) {
				t.Errorf("changes %v, want %q", changes, c.text)
			}
		})
	}
}

func pass(data []byte) ([]byte, error) { return data, nil }

type csv struct{ schema.JSON }

func (csv) ContentType() string { return "text/csv" }

func TestVersionsOnlyGrowAndOldOnesAreKept(t *testing.T) {
	second := schema.Options{Version: 2, Upcasters: []schema.Upcaster{{From: 1, Func: pass}}}
	type v2 struct{ Other string }
	lock := schemalock.Take(registryOf[v1](t, schema.Options{}), nil)
	changes := lock.Check(registryOf[v2](t, second), schemalock.Backward)
	if len(changes) != 1 || changes[0].Breaks || !strings.Contains(changes[0].Text, "is version 2 now, was 1") {
		t.Errorf("a new version with an upcaster: %v", changes)
	}
	next := schemalock.Take(registryOf[v2](t, second), lock)
	if versions := next.Types["order.placed"].Versions; len(versions) != 2 || versions["1"].Fields["id"].Kind != "string" {
		t.Errorf("versions %v", versions)
	}
	if len(lock.Types["order.placed"].Versions) != 1 {
		t.Error("the lock before was changed")
	}
	for name, c := range map[string]struct {
		r    *schema.Registry
		want string
	}{
		"a lower version":  {registryOf[v1](t, schema.Options{}), "is version 1, and version 2 is stored; versions only grow"},
		"upcasters gone":   {registryOf[v2](t, schema.Options{Version: 2, Oldest: 2}), "is read from version 2 on, was from 1"},
		"another codec":    {registryOf[v2](t, schema.Options{Version: 2, Upcasters: second.Upcasters, Codec: csv{}}), "was stored as application/json, is text/csv"},
		"no longer there":  {schema.NewRegistry(), "is not registered any more"},
		"changed in place": {registryOf[v1](t, second), "has gone"},
	} {
		t.Run(name, func(t *testing.T) {
			changes := next.Check(c.r, schemalock.Backward)
			if !slices.ContainsFunc(changes, func(ch schemalock.Change) bool { return ch.Breaks && strings.Contains(ch.String(), c.want) }) {
				t.Errorf("got %v, want %q", changes, c.want)
			}
		})
	}
}

func TestTheFileIsAlwaysTheSameAndReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.schema.json")
	if _, err := schemalock.Read(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "take a snapshot") {
		t.Errorf("got %v", err)
	}
	lock := schemalock.Take(registryOf[node](t, schema.Options{}), nil)
	must(t, lock.Write(path))
	first, err := os.ReadFile(path)
	must(t, err)
	again, err := schemalock.Read(path)
	must(t, err)
	if !reflect.DeepEqual(lock, again) {
		t.Errorf("read back as %+v", again)
	}
	must(t, again.Write(path))
	if second, err := os.ReadFile(path); err != nil || string(first) != string(second) {
		t.Errorf("the file has changed (%v)", err)
	}
	for content, want := range map[string]string{
		"{\n\n\"format\": 1, \"tipes\": {}}": "tipes",
		"{\n\n,":                             "line 3",
		`{"format": 2}`:                      "its format is 2",
		`{"format": 1, "types": {"a": {"current": 2, "versions": {"1": {"kind": "any"}}}}}`:                                        "version 2, the current one, has no shape",
		`{"format": 1, "types": {"a": {"current": 1, "versions": {"1": {"kind": "object", "fields": {"x": {"kind": "array"}}}}}}}`: "field x: a shape of kind",
	} {
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := schemalock.Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
}

func TestCompatibilitiesHaveNames(t *testing.T) {
	if c, err := schemalock.ParseCompatibility("full"); c != schemalock.Full || err != nil {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := schemalock.ParseCompatibility("some"); err == nil || !strings.Contains(err.Error(), "backward forward full") {
		t.Errorf("got %v", err)
	}
}
