package event_test

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events/event"
)

func TestNewIDsAreUniqueAndIncreaseAcrossGoroutines(t *testing.T) {
	var mu sync.Mutex
	seen := map[event.ID]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			last := event.ID{}
			for range 5000 {
				id := event.NewID()
				if strings.Compare(id.String(), last.String()) <= 0 {
					t.Errorf("%s came after %s", id, last)
				}
				last = id
				mu.Lock()
				if seen[id] {
					t.Errorf("%s was given out twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id := range seen {
		if id[6]>>4 != 7 || id[8]>>6 != 2 {
			t.Fatalf("%s is not a version 7 UUID", id)
		}
	}
}

func TestIDsSurviveTheirTextForm(t *testing.T) {
	id := event.NewID()
	text, err := json.Marshal(map[string]event.ID{"id": id})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]event.ID
	if err := json.Unmarshal(text, &back); err != nil || back["id"] != id {
		t.Errorf("got %v, %v; want %v", back, err, id)
	}
	for _, bad := range []string{"", "x", strings.ReplaceAll(id.String(), "-", "_"), id.String() + "0", "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"} {
		if _, err := event.ParseID(bad); err == nil {
			t.Errorf("%q was taken for an id", bad)
		}
	}
}

func TestDerivedIDsDependOnNamespaceAndName(t *testing.T) {
	a, b := event.DerivedID(event.ID{1}, "x"), event.DerivedID(event.ID{2}, "x")
	if a == b || a == event.DerivedID(event.ID{1}, "y") || a != event.DerivedID(event.ID{1}, "x") {
		t.Error("derived ids do not follow their input")
	}
	if a[6]>>4 != 8 || a[8]>>6 != 2 {
		t.Errorf("%s is not a version 8 UUID", a)
	}
}

func TestMetadataIsTheJSONOfItsFields(t *testing.T) {
	for _, m := range []event.Metadata{
		{},
		{CorrelationID: "c"},
		{Actor: `quote " and \ and <tag> & é`, Tenant: "t"},
		{
			CorrelationID: "c", CausationID: "d", Actor: "a", Tenant: "t", TraceParent: "p", TraceState: "s",
			Custom: map[string]string{"b": "line\nbreak", "a": "", "ü": "\u2028"},
		},
	} {
		raw := m.AppendJSON(nil)
		standard, err := json.Marshal(m)
		if err != nil || string(raw) != string(standard) {
			t.Errorf("got %s, the standard library gives %s (%v)", raw, standard, err)
		}
		back, err := event.DecodeMetadata(raw)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%s came back as %+v, %v", raw, back, err)
		}
	}
	if _, err := event.DecodeMetadata([]byte(`{"actor":`)); err == nil {
		t.Error("broken metadata was decoded")
	}
}

func FuzzMetadataMatchesTheStandardEncoding(f *testing.F) {
	f.Add("c", "a", "k", "v")
	f.Add("", `"\`, "\x00", "\xff")
	f.Fuzz(func(t *testing.T, correlation, actor, key, value string) {
		m := event.Metadata{CorrelationID: correlation, Actor: actor, Custom: map[string]string{key: value}}
		standard, err := json.Marshal(m)
		if err != nil {
			t.Skip()
		}
		if raw := m.AppendJSON(nil); string(raw) != string(standard) {
			t.Errorf("got %s, want %s", raw, standard)
		}
	})
}

func TestContextFillsMetadataFromTheOutside(t *testing.T) {
	ctx := event.WithMetadata(context.Background(), event.Metadata{CorrelationID: "c", Actor: "outer", Custom: map[string]string{"a": "1", "b": "1"}})
	ctx = event.WithMetadata(ctx, event.Metadata{Actor: "inner", Custom: map[string]string{"b": "2"}})
	want := event.Metadata{CorrelationID: "c", Actor: "inner", Custom: map[string]string{"a": "1", "b": "2"}}
	if got := event.MetadataFrom(ctx); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	cause := event.Recorded{ID: event.NewID(), RawMetadata: []byte(`{"correlation_id":"conversation"}`)}
	caused, err := event.WithCause(context.Background(), cause)
	if got := event.MetadataFrom(caused); err != nil || got.CausationID != cause.ID.String() || got.CorrelationID != "conversation" {
		t.Errorf("got %+v, %v", got, err)
	}
	cause.RawMetadata = nil
	caused, err = event.WithCause(context.Background(), cause)
	if got := event.MetadataFrom(caused); err != nil || got.CorrelationID != cause.ID.String() {
		t.Errorf("an event that belongs to no conversation begins one: got %+v, %v", got, err)
	}
}

func TestStreamNamesHaveACategoryAndAnID(t *testing.T) {
	for name, ok := range map[event.StreamID]bool{
		"order-7": true, "order-eu-7": true, "a--": true, "": false, "order": false, "-7": false, "order-": false,
		"order-\x7f": false, "order-\u0085": false, "order-\xc3": false, "order-\ufffd": true,
	} {
		if err := name.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestARecordedEventCanBeAppendedElsewhere(t *testing.T) {
	r := event.Recorded{ID: event.NewID(), Type: "x", SchemaVersion: 2, ContentType: "text/plain", Data: []byte("d"), RawMetadata: []byte(`{"actor":"a"}`), Tags: []event.Tag{"t"}}
	p, err := r.Pending()
	if err != nil || p.ID != r.ID || p.Metadata.Actor != "a" || string(p.Data) != "d" || p.SchemaVersion != 2 || p.ContentType != "text/plain" || len(p.Tags) != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
}
