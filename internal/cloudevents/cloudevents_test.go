package cloudevents_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/cloudevents"
)

func recorded() event.Recorded {
	metadata := event.Metadata{
		CorrelationID: "c-1", CausationID: "c-2", Actor: "ada", Tenant: "acme", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		TraceState: "vendor=1", Custom: map[string]string{"note": "two\nlines \u0085 \"quoted\""},
	}
	at := time.Date(2024, 2, 29, 12, 0, 0, 123456000, time.UTC)
	return event.Recorded{
		ID: event.NewID(), Stream: "order-7", Version: 3, Position: 1 << 40, Type: "order.placed", SchemaVersion: 2, ContentType: "application/json",
		Data: []byte(`{"total":12}`), RawMetadata: metadata.AppendJSON(nil), Tags: []event.Tag{"a:1,2", `b:"x"`}, OccurredAt: at, RecordedAt: at.Add(time.Second),
	}
}

func TestAnEventOfTheLogComesBackAsItWas(t *testing.T) {
	want := cloudevents.FromRecorded(recorded(), "/orders")
	want.Extensions = map[string]string{"severity": "high"}
	want.DataSchema = "https://example.com/order.json"
	m, err := cloudevents.Encode(want, "orders")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": want.ID, "ce-source": "/orders", "ce-type": "order.placed", "ce-time": "2024-02-29T12:00:00.123456Z",
		"ce-subject": "order-7", "content-type": "application/json", "ce-partitionkey": "order-7", "ce-streamversion": "3", "ce-severity": "high",
		"ce-traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "ce-tags": `["a:1,2","b:\"x\""]`,
	} {
		if m.Headers[name] != value {
			t.Errorf("header %s is %q, want %q", name, m.Headers[name], value)
		}
	}
	if m.ID != want.ID || m.Topic != "orders" || m.Key != "order-7" || string(m.Body) != `{"total":12}` {
		t.Errorf("message %+v", m)
	}
	if err := broker.New(membroker.New(membroker.Options{}), broker.Options{}).Publish(t.Context(), m); err != nil {
		t.Errorf("the broker does not take it: %v", err)
	}
	got, err := cloudevents.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestMessagesOfOtherProgramsAreRead(t *testing.T) {
	m := broker.Message{
		ID: "1", Topic: "t", Key: "k", Body: []byte("<a/>"), Time: time.Unix(1, 0).UTC(),
		Headers: map[string]string{"ce-specversion": "1.0", "ce-id": "A234-1234-1234", "ce-source": "https://github.com/cloudevents", "ce-type": "com.github.pull_request.opened", "content-type": "text/xml", "other": "x"},
	}
	got, err := cloudevents.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := cloudevents.Decode(m)
	if err != nil || got.Event.ID != again.Event.ID || got.Event.ID.IsZero() {
		t.Errorf("the derived id is not always the same: %v, %v (%v)", got.Event.ID, again.Event.ID, err)
	}
	if got.ID != "A234-1234-1234" || got.Key != "k" || got.Event.SchemaVersion != 1 || got.Event.ContentType != "text/xml" || !got.Event.OccurredAt.Equal(m.Time) {
		t.Errorf("got %+v", got)
	}
	m.Headers["ce-source"] = "/another"
	if other, err := cloudevents.Decode(m); err != nil || other.Event.ID == got.Event.ID {
		t.Errorf("events of two sources have the same id (%v)", err)
	}
}

func TestWhatIsNoCloudEventIsRefusedByName(t *testing.T) {
	good, err := cloudevents.Encode(cloudevents.FromRecorded(recorded(), "/orders"), "orders")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header, value string // "": removed
		want          string
	}{
		"no specversion":   {"ce-specversion", "", "ce-specversion is missing"},
		"another version":  {"ce-specversion", "0.3", `ce-specversion is "0.3"`},
		"no id":            {"ce-id", "", "ce-id is missing"},
		"no source":        {"ce-source", "", "ce-source is missing"},
		"no type":          {"ce-type", "", "ce-type is missing"},
		"a broken source":  {"ce-source", "%zz", "ce-source is no URI reference"},
		"a broken time":    {"ce-time", "yesterday", `ce-time is "yesterday"`},
		"a broken version": {"ce-streamversion", "-3", `ce-streamversion is "-3"`},
		"a broken stream":  {"ce-stream", "order", "ce-stream: "},
		"broken tags":      {"ce-tags", "a,b", "ce-tags: "},
		"structured mode":  {"content-type", "application/cloudevents+json", "structured mode"},
	} {
		t.Run(name, func(t *testing.T) {
			m := good
			m.Headers = map[string]string{}
			for k, v := range good.Headers {
				m.Headers[k] = v
			}
			if m.Headers[c.header] = c.value; c.value == "" {
				delete(m.Headers, c.header)
			}
			if _, err := cloudevents.Decode(m); !errors.Is(err, cloudevents.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	_, err = cloudevents.Decode(broker.Message{})
	for _, want := range []string{"ce-specversion", "ce-id", "ce-source", "ce-type"} {
		if err == nil || !strings.Contains(err.Error(), want+" is missing") {
			t.Errorf("got %v, want all faults together: %s too", err, want)
		}
	}
}

func TestAttributesThatCloudEventsForbidsAreNotWritten(t *testing.T) {
	for name, spoil := range map[string]func(e *cloudevents.Envelope){
		"an upper-case extension":       func(e *cloudevents.Envelope) { e.Extensions = map[string]string{"myExt": "x"} },
		"an extension in place of ours": func(e *cloudevents.Envelope) { e.Extensions = map[string]string{"stream": "x"} },
		"a control character":           func(e *cloudevents.Envelope) { e.Subject = "a\nb" },
		"broken UTF-8":                  func(e *cloudevents.Envelope) { e.Key = "\xff" },
		"broken metadata":               func(e *cloudevents.Envelope) { e.Event.RawMetadata = []byte("{") },
	} {
		t.Run(name, func(t *testing.T) {
			e := cloudevents.FromRecorded(recorded(), "/orders")
			spoil(&e)
			if _, err := cloudevents.Encode(e, "orders"); err == nil {
				t.Error("it was encoded")
			}
		})
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("id", "/s", "subject", "key", "a.b", "text/plain", []byte("x"), "tag", "name", "value", "ext", int64(3), int64(1))
	f.Add("01890a5d-ac96-774b-bcce-b302099a8057", "urn:x", "", "", "t", "", []byte(nil), "a,\"b", "k\u0085", "v\n", "e1", int64(0), int64(1<<50))
	f.Fuzz(func(t *testing.T, id, source, subject, key, eventType, ct string, data []byte, tag, name, value, ext string, version, micros int64) {
		m := event.Metadata{CorrelationID: subject, Tenant: tag, Custom: map[string]string{name: value}}
		if m.Validate() != nil || event.ValidateName(tag) != nil || version < 0 || version > 1<<30 || micros < 0 || micros > 1<<54 {
			t.Skip()
		}
		want := cloudevents.Envelope{ID: id, Source: source, Subject: subject, Key: key, Extensions: map[string]string{ext: value}, Event: event.Recorded{
			Stream: event.StreamID("s-" + id), Version: event.Version(version), Position: event.Position(version), Type: eventType, SchemaVersion: int(version) + 1,
			ContentType: ct, Data: data, RawMetadata: m.AppendJSON(nil), Tags: []event.Tag{event.Tag(tag)}, OccurredAt: time.UnixMicro(micros + 1).UTC(),
		}}
		message, err := cloudevents.Encode(want, "t")
		if err != nil {
			t.Skip()
		}
		got, err := cloudevents.Decode(message)
		if err != nil {
			if errors.Is(err, cloudevents.ErrMalformed) && (id == "" || source == "" || eventType == "" || strings.Contains(err.Error(), "URI") || strings.Contains(err.Error(), "structured")) {
				t.Skip()
			}
			t.Fatal(err)
		}
		want.Event.ID = got.Event.ID
		if ct == "" {
			want.Event.ContentType = event.JSON
		}
		if value == "" {
			want.Extensions = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add("ce-time", "x", "ce-tags", "[1]", []byte("{}"))
	f.Fuzz(func(t *testing.T, a, av, b, bv string, body []byte) {
		m := broker.Message{ID: "1", Body: body, Headers: map[string]string{
			"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", a: av, b: bv,
		}}
		e, err := cloudevents.Decode(m)
		if err != nil {
			if !errors.Is(err, cloudevents.ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
			return
		}
		if e.ID == "" || e.Source == "" || e.Event.Type == "" || e.Event.ID.IsZero() {
			t.Errorf("accepted %+v", e)
		}
	})
}

func TestTheContentTypeMayComeAsAnAttribute(t *testing.T) {
	m := broker.Message{Headers: map[string]string{
		"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "a", "ce-datacontenttype": "text/plain",
	}}
	for want, header := range map[string]string{"text/plain": "", "text/csv": "text/csv"} {
		if m.Headers["content-type"] = header; header == "" {
			delete(m.Headers, "content-type")
		}
		if e, err := cloudevents.Decode(m); err != nil || e.Event.ContentType != want || e.Extensions != nil {
			t.Errorf("got %+v, %v; want %s", e, err, want)
		}
	}
}
