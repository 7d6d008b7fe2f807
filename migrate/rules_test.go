package migrate_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
)

// applied gives what rules make of an event; nil where they drop it.
func applied(t *testing.T, rules string, e event.Recorded) (*migrate.Output, error) {
	t.Helper()
	r, err := migrate.ParseRules([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := r.New().Event(e)
	if err != nil || len(outputs) == 0 {
		return nil, err
	}
	return &outputs[0], nil
}

func TestRulesAreAppliedOneAfterTheOther(t *testing.T) {
	order := event.Recorded{Stream: "order-eu-7", Type: "order.created", SchemaVersion: 1, ContentType: event.JSON, Data: []byte(`{"name":"Ada","big":12345678901234567890,"html":"<b>","card":{"number":"4","owner":"A"},"lines":[{"price":1,"sku":"x"},{"sku":"y"},3]}`)}
	for name, c := range map[string]struct{ rules, want string }{
		"rename a type, and go on with the new one": {
			`[{"rename_type":{"from":"order.created","to":"order.placed"}},{"set_schema_version":{"type":"order.placed","version":4}},{"set_default":{"type":"order.created","field":"no","value":1}}]`,
			`order-eu-7 order.placed 4 ` + string(order.Data),
		},
		"rename a field":                       {`[{"rename_field":{"type":"order.created","field":"card.owner","to":"holder"}}]`, `order-eu-7 order.created 1 {"big":12345678901234567890,"card":{"holder":"A","number":"4"},"html":"<b>","lines":[{"price":1,"sku":"x"},{"sku":"y"},3],"name":"Ada"}`},
		"drop a field of each element":         {`[{"drop_field":{"type":"*","field":"lines[].sku"}}]`, `order-eu-7 order.created 1 {"big":12345678901234567890,"card":{"number":"4","owner":"A"},"html":"<b>","lines":[{"price":1},{},3],"name":"Ada"}`},
		"a default that a later rule edits":    {`[{"drop_field":{"type":"*","field":"lines"}},{"drop_field":{"type":"*","field":"card"}},{"set_default":{"type":"*","field":"money","value":{"a":1e400}}},{"set_default":{"type":"*","field":"name","value":"Bob"}},{"rename_field":{"type":"*","field":"money.a","to":"b"}}]`, `order-eu-7 order.created 1 {"big":12345678901234567890,"html":"<b>","money":{"b":1e400},"name":"Ada"}`},
		"what is not there is left alone":      {`[{"drop_field":{"type":"order.created","field":"nothing.here"}},{"rename_field":{"type":"order.created","field":"nothing","to":"x"}},{"set_default":{"type":"order.created","field":"nothing.x","value":1}}]`, `order-eu-7 order.created 1 ` + string(order.Data)},
		"another type, category is no concern": {`[{"drop_type":{"type":"order"}},{"move_category":{"from":"orde","to":"x"}},{"drop_field":{"type":"x","field":"name"}}]`, `order-eu-7 order.created 1 ` + string(order.Data)},
		"move twice":                           {`[{"move_category":{"from":"order","to":"a"}},{"move_category":{"from":"a","to":"purchase"}}]`, `purchase-eu-7 order.created 1 ` + string(order.Data)},
	} {
		out, err := applied(t, `{"rules":`+c.rules+`}`, order)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		version, _ := json.Marshal(out.Event.SchemaVersion)
		if got := string(out.Stream) + " " + out.Event.Type + " " + string(version) + " " + string(out.Event.Data); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
	if out, err := applied(t, `{"rules":[{"drop_type":{"type":"order.created"}}]}`, order); out != nil || err != nil {
		t.Errorf("it was not dropped: %v (%v)", out, err)
	}
	if _, err := applied(t, `{"rules":[{"rename_field":{"type":"order.created","field":"name","to":"html"}}]}`, order); err == nil || !strings.Contains(err.Error(), "rule 1: rename field name: there is a field html already") {
		t.Errorf("got %v", err)
	}
	order.ContentType = "application/x-blob"
	if _, err := applied(t, `{"rules":[{"drop_field":{"type":"order.created","field":"name"}}]}`, order); err == nil || !strings.Contains(err.Error(), "no JSON object") {
		t.Errorf("a field of data that is no JSON was not dropped, and nobody was told: %v", err)
	}
	if out, err := applied(t, `{"rules":[{"drop_field":{"type":"*","field":"name"}}]}`, order); err != nil || string(out.Event.Data) != string(order.Data) {
		t.Errorf("got %v (%v)", out, err)
	}
}

func TestFaultyRulesAreReportedTogether(t *testing.T) {
	_, err := migrate.ParseRules([]byte(`{"rules":[
		{"rename_type":{"from":"a","to":"a"}},
		{"drop_type":{"type":"$tombstone"}},
		{"drop_feild":{"type":"a"}},
		{"drop_field":{"type":"a","field":"a..b[]"},"drop_type":{"type":"a"}},
		{"set_default":{"type":"a","field":"x[]"}},
		{"move_category":{"from":"a-b","to":"migration"}},
		{},
		{"rename_field":{"type":"a","field":"x","to":"y.z"}},
		{"set_schema_version":{"type":"*","version":0}, "more": 1}
	]}`))
	for _, phrase := range []string{"rule 1: from and to", "rule 2: type", `rule 3: json: unknown field "drop_feild"`, "rule 4: field", "must be one", "rule 5: field", "a value is needed", "rule 6: category", "rule 7: has 0 of", "rule 8: to", "rule 9"} {
		if err == nil || !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), phrase) {
			t.Errorf("got %v, want %q in it", err, phrase)
		}
	}
	for _, text := range []string{``, `[]`, `{}`, `{"rules":[]}`, `{"rules":[{"drop_type":{"type":"a"}}]} x`, `{"ruels":[]}`} {
		if _, err := migrate.ParseRules([]byte(text)); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestTheMovesOfRulesAreWhatACopyWithinAStoreReadsAndWrites(t *testing.T) {
	r, err := migrate.ParseRules([]byte(`{"rules":[{"move_category":{"from":"b","to":"x"}},{"move_category":{"from":"a","to":"x"}},{"move_category":{"from":"x","to":"y"}},{"drop_type":{"type":"t"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	from, to := r.Moves()
	if strings.Join(from, " ") != "a b" || strings.Join(to, " ") != "y" {
		t.Errorf("got %v and %v", from, to)
	}
}

// FuzzRules: whatever the file and the event are, parsing and applying give a result or an error, always the same one,
// and JSON comes out as JSON.
func FuzzRules(f *testing.F) {
	for _, rules := range []string{
		`{"rules":[{"rename_type":{"from":"a","to":"b"}},{"rename_field":{"type":"*","field":"x[].y","to":"z"}}]}`,
		`{"rules":[{"drop_field":{"type":"a","field":"x.y"}},{"set_default":{"type":"a","field":"q","value":[1,{"z":null}]}}]}`,
		`{"rules":[{"move_category":{"from":"a","to":"b"}},{"drop_type":{"type":"a"}},{"set_schema_version":{"type":"b","version":2}}]}`,
		`{"rules":[{}]}`, `[`, `{"rules":[{"drop_field":{"type":"*","field":"[][]"}}]}`,
	} {
		for _, data := range []string{`{"x":[{"y":1},[{"y":2}]],"q":1e999}`, `{"x":{"y":{"z":"\ud800"}}}`, `[]`, ``, "{\"\xff\":1}", `{"x":1}{`} {
			f.Add([]byte(rules), "a", []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, typeName string, data []byte) {
		r, err := migrate.ParseRules(text)
		if err != nil {
			if !errors.Is(err, store.ErrInvalid) {
				t.Errorf("got %v", err)
			}
			return
		}
		e := event.Recorded{Stream: "a-1", Type: typeName, SchemaVersion: 1, ContentType: event.JSON, Data: data}
		before := string(data)
		one, err := r.New().Event(e)
		again, failed := r.New().Event(e)
		if (err == nil) != (failed == nil) || len(one) != len(again) {
			t.Fatalf("%v, then %v", err, failed)
		}
		if string(data) != before {
			t.Error("the event was changed")
		}
		for i := range one {
			if string(one[i].Event.Data) != string(again[i].Event.Data) || one[i].Stream != again[i].Stream {
				t.Errorf("%s, then %s", one[i].Event.Data, again[i].Event.Data)
			}
			if json.Valid(data) && !json.Valid(one[i].Event.Data) {
				t.Errorf("%s became %s", data, one[i].Event.Data)
			}
		}
	})
}
