package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

type placed struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

func (p placed) EventTags() []event.Tag { return []event.Tag{event.Tag("order:" + p.Order)} }

type shipped struct {
	Carrier string `json:"carrier"`
}

// text is a codec for strings.
type text struct{ contentType string }

func (c text) ContentType() string              { return c.contentType }
func (text) Marshal(v any) ([]byte, error)      { return []byte(*v.(*note)), nil }
func (text) Unmarshal(data []byte, v any) error { *v.(*note) = note(data); return nil }

type note string

func stored(p event.Pending) *event.Recorded {
	return &event.Recorded{
		Stream: "order-7", Version: 2, Position: 17,
		Type: p.Type, SchemaVersion: p.SchemaVersion, ContentType: p.ContentType, Data: p.Data,
	}
}

func register(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, kind error, phrases ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("error %q is not of the kind %q", err, kind)
	}
	for _, phrase := range phrases {
		if !strings.Contains(err.Error(), phrase) {
			t.Errorf("error %q does not say %q", err, phrase)
		}
	}
}

func TestAValueComesBackAsItWasStored(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[placed](r, "order.placed", schema.Options{}))
	p, err := r.Encode(placed{Order: "7", Amount: 3})
	if err != nil {
		t.Fatal(err)
	}
	if p.Type != "order.placed" || p.SchemaVersion != 1 || p.ContentType != event.JSON || string(p.Data) != `{"order":"7","amount":3}` {
		t.Errorf("encoded as %+v", p)
	}
	if len(p.Tags) != 1 || p.Tags[0] != "order:7" {
		t.Errorf("tags are %v", p.Tags)
	}
	v, err := r.Decode(stored(p))
	if err != nil || v != (placed{Order: "7", Amount: 3}) {
		t.Errorf("decoded as %#v, %v", v, err)
	}
}

func TestPointersAndValuesAreTheSameType(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[*placed](r, "order.placed", schema.Options{}))
	for _, v := range []any{placed{Order: "7"}, &placed{Order: "7"}} {
		p, err := r.Encode(v)
		if err != nil || len(p.Tags) != 1 {
			t.Fatalf("encode %T: %+v, %v", v, p, err)
		}
		got, err := r.Decode(stored(p))
		if pointer, ok := got.(*placed); err != nil || !ok || pointer.Order != "7" {
			t.Errorf("decoded as %#v, %v", got, err)
		}
	}
	_, err := r.Encode((*placed)(nil))
	wantError(t, err, nil, "nil")
	wantError(t, schema.Register[placed](r, "other", schema.Options{}), schema.ErrDuplicate, "order.placed")
	name, err := schema.NameFor[placed](r)
	if err != nil || name != "order.placed" {
		t.Errorf("name is %q, %v", name, err)
	}
	_, err = schema.NameFor[shipped](r)
	wantError(t, err, schema.ErrUnregistered, "shipped")
}

// secret has its methods on the pointer.
type secret struct{ word string }

func (s *secret) MarshalJSON() ([]byte, error)    { return json.Marshal(s.word) }
func (s *secret) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.word) }
func (s *secret) EventTags() []event.Tag          { return []event.Tag{"secret"} }

func TestMethodsOfThePointerCountForValuesToo(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[secret](r, "secret", schema.Options{}))
	for _, v := range []any{secret{"sesame"}, &secret{"sesame"}} {
		p, err := r.Encode(v)
		if err != nil || string(p.Data) != `"sesame"` || len(p.Tags) != 1 {
			t.Errorf("%T: encoded as %s with tags %v, %v", v, p.Data, p.Tags, err)
		}
		if got, err := r.Decode(stored(p)); err != nil || got != (secret{"sesame"}) {
			t.Errorf("%T: decoded as %v, %v", v, got, err)
		}
	}
}

func TestAnUnregisteredTypeIsAnErrorThatNamesIt(t *testing.T) {
	r := schema.NewRegistry()
	for _, v := range []any{placed{}, nil} {
		_, err := r.Encode(v)
		wantError(t, err, schema.ErrUnregistered, fmt.Sprintf("%T", v), "schema.Register")
	}
	e := stored(event.Pending{Type: "order.placed", SchemaVersion: 1, ContentType: event.JSON, Data: []byte("{}")})
	_, err := r.Decode(e)
	wantError(t, err, schema.ErrUnregistered, "order.placed", "order-7", "position 17", "version 2", "DecodeOrRaw")
	var details *schema.DecodeError
	if !errors.As(err, &details) || details.Position != 17 {
		t.Errorf("details are %+v", details)
	}
}

func TestAnUnregisteredTypeComesRawWhenAskedFor(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[placed](r, "order.placed", schema.Options{}))
	unknown := stored(event.Pending{Type: "alien", SchemaVersion: 9, ContentType: "x/y", Data: []byte("?")})
	v, err := r.DecodeOrRaw(unknown)
	if raw, ok := v.(event.Recorded); err != nil || !ok || raw.Type != "alien" || string(raw.Data) != "?" {
		t.Errorf("got %#v, %v", v, err)
	}
	known := stored(event.Pending{Type: "order.placed", SchemaVersion: 1, ContentType: event.JSON, Data: []byte(`{"amount":1}`)})
	if v, err = r.DecodeOrRaw(known); err != nil || v != (placed{Amount: 1}) {
		t.Errorf("got %#v, %v", v, err)
	}
	known.Data = []byte("{")
	_, err = r.DecodeOrRaw(known)
	wantError(t, err, nil, "order.placed", "unexpected end of JSON")
}

func TestEachTypeHasItsCodec(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[note](r, "note", schema.Options{Codec: text{"text/plain; charset=utf-8"}}))
	p, err := r.Encode(note("hello"))
	if err != nil || string(p.Data) != "hello" || p.ContentType != "text/plain; charset=utf-8" {
		t.Fatalf("encoded as %+v, %v", p, err)
	}
	for _, contentType := range []string{p.ContentType, "text/plain", "Text/Plain; charset=US-ASCII"} {
		e := stored(p)
		e.ContentType = contentType
		if v, err := r.Decode(e); err != nil || v != note("hello") {
			t.Errorf("decoded %s as %#v, %v", contentType, v, err)
		}
	}
	for _, contentType := range []string{event.JSON, "", "text/plainer"} {
		e := stored(p)
		e.ContentType = contentType
		_, err = r.Decode(e)
		wantError(t, err, schema.ErrContentType, "text/plain", "note", "order-7")
	}
	wantError(t, schema.Register[shipped](r, "s", schema.Options{Codec: text{}}), nil, "no content type")
}

func TestAStoredVersionOutOfRangeIsAnError(t *testing.T) {
	r := schema.NewRegistry()
	up := schema.Upcaster{From: 2, Func: func(data []byte) ([]byte, error) { return data, nil }}
	register(t, schema.Register[placed](r, "order.placed", schema.Options{Version: 3, Oldest: 2, Upcasters: []schema.Upcaster{up}}))
	for version, phrase := range map[int]string{4: "up to version 3", 1: "version 2 and later", 0: "version 2 and later"} {
		_, err := r.Decode(stored(event.Pending{Type: "order.placed", SchemaVersion: version, ContentType: event.JSON, Data: []byte("{}")}))
		wantError(t, err, schema.ErrVersion, phrase)
	}
}

func TestConcurrentReadersSeeEveryRegistration(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[placed](r, "order.placed", schema.Options{}))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 200 {
				if _, err := r.Encode(placed{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	register(t, schema.Register[shipped](r, "order.shipped", schema.Options{}))
	readers.Wait()
	types := r.Types()
	if len(types) != 2 || types[0].Name != "order.placed" || types[1].Name != "order.shipped" {
		t.Errorf("types are %+v", types)
	}
}

func BenchmarkDecode(b *testing.B) {
	r := schema.NewRegistry()
	if err := schema.Register[placed](r, "order.placed", schema.Options{}); err != nil {
		b.Fatal(err)
	}
	data, _ := json.Marshal(placed{Order: "7", Amount: 3})
	e := stored(event.Pending{Type: "order.placed", SchemaVersion: 1, ContentType: event.JSON, Data: data})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Decode(e); err != nil {
			b.Fatal(err)
		}
	}
}
