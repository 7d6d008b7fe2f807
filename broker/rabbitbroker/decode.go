package rabbitbroker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// decode reads a message, of this driver or of another program, and how often it was delivered before. What another
// program has written is brought to what the port takes, so that every message can become a dead letter in a topic: header
// names in lower case, values as text without control characters, and an id where there is none.
func decode(topic string, d *amqp.Delivery) (m broker.Message, before int) {
	m = broker.Message{
		ID: d.MessageId, Topic: topic, Headers: make(map[string]string, len(d.Headers)), Body: d.Body, Time: d.Timestamp.UTC(),
	}
	for name, value := range d.Headers {
		switch name {
		case headerKey:
			m.Key = clean(asText(value))
			continue
		case headerID:
			m.ID = asText(value)
			continue
		case headerTime:
			if ms, ok := value.(int64); ok {
				m.Time = time.UnixMilli(ms).UTC()
			}
			continue
		case headerDeliveries, headerCount:
			before += number(value)
			continue
		}
		if own, escaped := strings.CutPrefix(name, headerEscape); escaped {
			m.Headers[portName(own)] = clean(asText(value))
		} else if !ofServer(name) {
			m.Headers[portName(name)] = clean(asText(value))
		}
	}
	if d.ContentType != "" {
		m.Headers[contentType] = clean(d.ContentType)
	}
	if len(m.Headers) == 0 {
		m.Headers = nil
	}
	if m.Key == "" {
		m.Key = clean(m.Headers[prefixPort+"partitionkey"])
	}
	if m.ID == "" {
		m.ID = idFor(&m)
	}
	m.ID = clean(m.ID)
	return m, before
}

// headerCount is how often the server has delivered the message before.
const headerCount = "x-delivery-count"

// ofServer reports whether the server has added a header: how often and why it has moved the message.
func ofServer(name string) bool {
	return strings.HasPrefix(name, "x-death") || strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-") ||
		name == "x-acquired-count" || name == "x-opt-rk" || name == "x-opt-deaths"
}

// portName makes a header's name of the port.
func portName(name string) string {
	for _, prefix := range [...]string{prefixAMQP, prefixAMQPAlt} {
		if attribute, ok := strings.CutPrefix(name, prefix); ok {
			name = prefixPort + attribute
		}
	}
	legal := func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.':
			return r
		case 'A' <= r && r <= 'Z':
			return unicode.ToLower(r)
		}
		return '-'
	}
	if name = strings.Map(legal, name); name == "" {
		return "-"
	}
	return name
}

// asText writes a header's value as text.
func asText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case amqp.Table, []any:
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(value)
}

// clean makes text that the port takes: valid UTF-8 without control characters.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// idFor makes the id of a message that has none, the same at each delivery: that of its CloudEvent, or a sum of what it
// says.
func idFor(m *broker.Message) string {
	if id := m.Headers[prefixPort+"id"]; id != "" {
		return m.Headers[prefixPort+"source"] + "#" + id
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q %v %q", m.Topic, m.Key, m.Time, m.Headers) // maps are printed in order
	_, _ = h.Write(m.Body)
	return "amqp-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// number reads a count, of whatever size the server sends it in.
func number(value any) int {
	switch n := value.(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	case int16:
		return int(n)
	case int8:
		return int(n)
	case uint8:
		return int(n)
	case uint16:
		return int(n)
	case uint32:
		return int(n)
	}
	return 0
}
