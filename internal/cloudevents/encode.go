package cloudevents

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// specVersion is the version of the specification that is written, and the only one that is read.
const specVersion = "1.0"

// prefix begins the header of every attribute but one.
const prefix = "ce-"

// contentType is the header of the attribute datacontenttype.
const contentType = "content-type"

// Encode makes the message. The broker checks what it may hold; an attribute that CloudEvents forbids is an error here.
func Encode(e Envelope, topic string) (broker.Message, error) {
	r := &e.Event
	metadata, err := r.Metadata()
	if err != nil {
		return broker.Message{}, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	headers := make(map[string]string, 16)
	set := func(name, value string) {
		if value != "" {
			headers[prefix+name] = value
		}
	}
	for name, value := range e.Extensions {
		if !isAttributeName(name) || known(name) {
			return broker.Message{}, fmt.Errorf("encode event %s: extension %q: names are of a to z and 0 to 9, and not those of other attributes", e.ID, name)
		}
		set(name, value)
	}
	set("specversion", specVersion)
	set("id", e.ID)
	set("source", e.Source)
	set("type", r.Type)
	set("subject", e.Subject)
	set("dataschema", e.DataSchema)
	set("time", formatTime(r.OccurredAt))
	set("partitionkey", e.Key)
	set("stream", string(r.Stream))
	set("streamversion", formatInt(int64(r.Version)))
	set("position", formatInt(int64(r.Position)))
	set("schemaversion", formatInt(int64(r.SchemaVersion)))
	set("recordedtime", formatTime(r.RecordedAt))
	set("correlationid", metadata.CorrelationID)
	set("causationid", metadata.CausationID)
	set("actor", metadata.Actor)
	set("tenant", metadata.Tenant)
	set("traceparent", metadata.TraceParent)
	set("tracestate", metadata.TraceState)
	if len(r.Tags) > 0 {
		set("tags", formatJSON(r.Tags))
	}
	if len(metadata.Custom) > 0 {
		set("metadata", formatJSON(metadata.Custom))
	}
	if r.ContentType != "" {
		headers[contentType] = r.ContentType
	}
	if err := check(headers); err != nil {
		return broker.Message{}, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return broker.Message{ID: e.ID, Topic: topic, Key: e.Key, Headers: headers, Body: r.Data}, nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func formatInt(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// formatJSON gives JSON without control characters, which attributes must not hold; encoding/json leaves those from
// U+007F on as they are.
func formatJSON(v any) string {
	raw, _ := json.Marshal(v) // strings only: cannot fail
	var b strings.Builder
	for _, r := range string(raw) {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// known reports whether an attribute has a field in Envelope.
func known(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "dataschema", "datacontenttype", "time", "partitionkey", "stream",
		"streamversion", "position", "schemaversion", "recordedtime", "correlationid", "causationid", "actor", "tenant",
		"traceparent", "tracestate", "tags", "metadata", "data":
		return true
	}
	return false
}

func isAttributeName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// check refuses values that brokers would not carry as they are.
func check(headers map[string]string) error {
	for name, value := range headers {
		if err := event.ValidateName(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
