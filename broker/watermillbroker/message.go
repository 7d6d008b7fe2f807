package watermillbroker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"lexigram.dev/events/broker"
)

// What a message of ours has that Watermill has no field for is metadata under these names. Headers of ours cannot have
// them, since they have capitals.
const (
	metadataKey  = "Lexigram-Key"
	metadataTime = "Lexigram-Time" // ms since 1970
)

// headerMetadata is the header for metadata of Watermill that no header can hold: a JSON object.
const headerMetadata = "watermill-metadata"

// toWatermill makes a message of Watermill's. The body is copied: adapters may keep it.
func toWatermill(m *broker.Message) *message.Message {
	w := message.NewMessage(m.ID, bytes.Clone(m.Body))
	maps.Copy(w.Metadata, m.Headers)
	if m.Key != "" {
		w.Metadata[metadataKey] = m.Key
	}
	if !m.Time.IsZero() {
		w.Metadata[metadataTime] = strconv.FormatInt(m.Time.UnixMilli(), 10)
	}
	return w
}

// fromWatermill reads a message that an adapter gave out, whoever has published it.
func fromWatermill(topic string, w *message.Message) broker.Message {
	m := broker.Message{ID: w.UUID, Topic: topic, Body: bytes.Clone(w.Payload)}
	for name, value := range w.Metadata {
		switch name {
		case metadataKey:
			m.Key = value
		case metadataTime:
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				m.Time = time.UnixMilli(ms).UTC()
			}
		default:
			if m.Headers == nil {
				m.Headers = make(map[string]string, len(w.Metadata))
			}
			m.Headers[name] = value
		}
	}
	return m
}

// headersOf puts metadata into headers. What is no legal header goes into one that holds JSON.
func headersOf(metadata message.Metadata) (map[string]string, error) {
	var (
		headers = make(map[string]string, len(metadata))
		rest    = map[string]string{}
	)
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		value := metadata[name]
		switch {
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return nil, fmt.Errorf("%w: metadata %q is not valid UTF-8", broker.ErrInvalid, name)
		case isHeader(name) && name != headerMetadata && isPlain(value):
			headers[name] = value
		default:
			rest[name] = value
		}
	}
	if len(rest) > 0 {
		raw, err := json.Marshal(rest)
		if err != nil {
			return nil, err
		}
		headers[headerMetadata] = escaped(string(raw))
	}
	return headers, nil
}

// metadataOf is the way back.
func metadataOf(headers map[string]string) (message.Metadata, error) {
	metadata := make(message.Metadata, len(headers))
	for name, value := range headers {
		if name != headerMetadata {
			metadata[name] = value
			continue
		}
		var rest map[string]string
		if err := json.Unmarshal([]byte(value), &rest); err != nil {
			return nil, fmt.Errorf("header %s: %w", headerMetadata, err)
		}
		maps.Copy(metadata, rest)
	}
	return metadata, nil
}

func isHeader(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return name != ""
}

func isPlain(value string) bool { return !strings.ContainsFunc(value, unicode.IsControl) }

// escaped writes the control characters that JSON leaves as they are in JSON's other way.
func escaped(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
