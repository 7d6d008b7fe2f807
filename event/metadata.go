package event

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Metadata says in what context an event came about. All fields are optional and are stored as one JSON object.
type Metadata struct {
	CorrelationID string            `json:"correlation_id,omitempty"` // the whole conversation this belongs to
	CausationID   string            `json:"causation_id,omitempty"`   // the message that directly led to this
	Actor         string            `json:"actor,omitempty"`          // who did it
	Tenant        string            `json:"tenant,omitempty"`
	TraceParent   string            `json:"traceparent,omitempty"` // W3C trace context
	TraceState    string            `json:"tracestate,omitempty"`
	Custom        map[string]string `json:"custom,omitempty"`
}

// Clone gives a copy that shares nothing with the original.
func (m Metadata) Clone() Metadata {
	m.Custom = maps.Clone(m.Custom)
	return m
}

// Or fills each empty field of m from fallback; custom entries are merged, those of m win.
func (m Metadata) Or(fallback Metadata) Metadata {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&m.CorrelationID, fallback.CorrelationID)
	fill(&m.CausationID, fallback.CausationID)
	fill(&m.Actor, fallback.Actor)
	fill(&m.Tenant, fallback.Tenant)
	fill(&m.TraceParent, fallback.TraceParent)
	fill(&m.TraceState, fallback.TraceState)
	if len(fallback.Custom) > 0 {
		merged := maps.Clone(fallback.Custom)
		maps.Copy(merged, m.Custom)
		m.Custom = merged
	}
	return m
}

// Validate reports the first field that holds text which cannot be stored as it is.
func (m Metadata) Validate() error {
	if m.empty() {
		return nil
	}
	for _, f := range m.fields() {
		if f.value == "" {
			continue
		}
		if err := ValidateName(f.value); err != nil {
			return fmt.Errorf("metadata %s: %w", f.name, err)
		}
	}
	for key, value := range m.Custom {
		if err := ValidateName(key); err != nil {
			return fmt.Errorf("metadata custom key %q: %w", key, err)
		}
		if !utf8.ValidString(value) {
			return fmt.Errorf("metadata custom[%q]: value is not valid UTF-8", key)
		}
	}
	return nil
}

func (m *Metadata) empty() bool {
	return len(m.CorrelationID)+len(m.CausationID)+len(m.Actor)+len(m.Tenant)+len(m.TraceParent)+len(m.TraceState)+len(m.Custom) == 0
}

type metadataField struct{ name, value string }

// fields lists the plain fields in the order in which they are stored.
func (m *Metadata) fields() [6]metadataField {
	return [6]metadataField{
		{"correlation_id", m.CorrelationID},
		{"causation_id", m.CausationID},
		{"actor", m.Actor},
		{"tenant", m.Tenant},
		{"traceparent", m.TraceParent},
		{"tracestate", m.TraceState},
	}
}

// AppendJSON appends the JSON object that a store keeps: fields in a fixed order, empty ones left out, custom keys
// sorted. The same metadata always gives the same bytes.
func (m *Metadata) AppendJSON(b []byte) []byte {
	if m.empty() {
		return append(b, "{}"...)
	}
	b = append(b, '{')
	first := true
	name := func(s string) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, s), ':')
	}
	for _, f := range m.fields() {
		if f.value != "" {
			name(f.name)
			b = appendString(b, f.value)
		}
	}
	if len(m.Custom) > 0 {
		name("custom")
		b = append(b, '{')
		first = true
		for _, key := range slices.Sorted(maps.Keys(m.Custom)) {
			name(key)
			b = appendString(b, m.Custom[key])
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// DecodeMetadata reads what AppendJSON wrote. Empty input is empty metadata.
func DecodeMetadata(raw []byte) (Metadata, error) {
	var m Metadata
	if len(raw) == 0 || string(raw) == "{}" {
		return m, nil
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return Metadata{}, fmt.Errorf("decode metadata: %w", err)
	}
	return m, nil
}

// appendString appends a JSON string; the fast path covers the plain ASCII that ids and names are made of.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil { // cannot happen: every Go string marshals
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
