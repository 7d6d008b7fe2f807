package cloudevents

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// Decode reads a message. All faults are reported together, in an ErrMalformed. A message without a content type is taken
// for JSON, one without a schema version for the first.
func Decode(m broker.Message) (Envelope, error) {
	d := decoder{headers: m.Headers}
	if strings.HasPrefix(m.Headers[contentType], "application/cloudevents") {
		d.fault("it is in structured mode (%s); only binary mode is read", m.Headers[contentType])
	} else if v := d.required("specversion"); v != "" && v != specVersion {
		d.fault("ce-specversion is %q; only %q is read", v, specVersion)
	}
	e := Envelope{
		ID: d.required("id"), Source: d.required("source"), Subject: d.text("subject"), DataSchema: d.text("dataschema"),
		Key: d.text("partitionkey"),
	}
	if e.Key == "" {
		e.Key = m.Key
	}
	if _, err := url.Parse(e.Source); err != nil {
		d.fault("ce-source is no URI reference: %v", err)
	}
	metadata := event.Metadata{
		CorrelationID: d.text("correlationid"), CausationID: d.text("causationid"), Actor: d.text("actor"), Tenant: d.text("tenant"),
		TraceParent: d.text("traceparent"), TraceState: d.text("tracestate"),
	}
	d.json("metadata", &metadata.Custom)
	e.Event = event.Recorded{
		ID: eventID(e.Source, e.ID), Stream: event.StreamID(d.text("stream")),
		Version: event.Version(d.integer("streamversion")), Position: event.Position(d.integer("position")),
		Type: d.required("type"), SchemaVersion: max(1, int(min(d.integer("schemaversion"), 1<<31-1))), ContentType: m.Headers[contentType],
		Data: m.Body, OccurredAt: d.time("time"), RecordedAt: d.time("recordedtime"),
	}
	d.json("tags", &e.Event.Tags)
	if e.Event.ContentType == "" {
		e.Event.ContentType = cmp.Or(d.text("datacontenttype"), event.JSON) // the official SDK writes it so on NATS
	}
	if e.Event.OccurredAt.IsZero() {
		e.Event.OccurredAt = m.Time
	}
	if s := e.Event.Stream; s != "" && s.Validate() != nil {
		d.fault("ce-stream: %v", s.Validate())
	}
	e.Event.RawMetadata = metadata.AppendJSON(nil)
	for name, value := range m.Headers {
		if name, ok := strings.CutPrefix(name, prefix); ok && isAttributeName(name) && !known(name) && value != "" {
			if e.Extensions == nil {
				e.Extensions = map[string]string{}
			}
			e.Extensions[name] = value
		}
	}
	if len(d.faults) > 0 {
		return Envelope{}, fmt.Errorf("%w: %s", ErrMalformed, strings.Join(d.faults, "; "))
	}
	return e, nil
}

// Type gives the event type that a message says it has, without reading the rest.
func Type(m broker.Message) (string, bool) {
	t, ok := m.Headers[prefix+"type"]
	return t, ok && t != ""
}

// decoder reads attributes and gathers what is wrong with them.
type decoder struct {
	headers map[string]string
	faults  []string
}

func (d *decoder) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

func (d *decoder) text(name string) string { return d.headers[prefix+name] }

func (d *decoder) required(name string) string {
	value := d.text(name)
	if value == "" {
		d.fault("%s%s is missing", prefix, name)
	}
	return value
}

func (d *decoder) integer(name string) int64 {
	value := d.text(name)
	if value == "" {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		d.fault("%s%s is %q, no positive number", prefix, name, value)
	}
	return n
}

func (d *decoder) time(name string) time.Time {
	value := d.text(name)
	if value == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		d.fault("%s%s is %q, no time of RFC 3339", prefix, name, value)
	}
	return t.UTC()
}

func (d *decoder) json(name string, v any) {
	if value := d.text(name); value != "" {
		if err := json.Unmarshal([]byte(value), v); err != nil {
			d.fault("%s%s: %v", prefix, name, err)
		}
	}
}
