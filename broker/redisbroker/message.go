package redisbroker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lexigram.dev/events/broker"
)

// The fields of an entry that are no headers: none of them is legal as a header's name.
const (
	fieldID   = ":id"
	fieldTime = ":time"
	fieldKey  = ":key"
	fieldBody = ":body"
)

// appendFields appends a message as names and values. Their order is always the same, since the server keeps entries whose
// names agree without them.
func appendFields(args []any, m *broker.Message, body []byte) []any {
	args = append(args, fieldID, m.ID, fieldTime, strconv.FormatInt(m.Time.UnixMilli(), 10))
	if m.Key != "" {
		args = append(args, fieldKey, m.Key)
	}
	names := make([]string, 0, 16)
	for name := range m.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		args = append(args, name, m.Headers[name])
	}
	return append(args, fieldBody, body)
}

// decode reads an entry. Its fields are names and values as the server gives them.
func decode(topic, id string, fields []any) (broker.Message, error) {
	m := broker.Message{Topic: topic}
	at, ours := "", false
	for i := 0; i+1 < len(fields); i += 2 {
		name, named := fields[i].(string)
		value, valued := fields[i+1].(string)
		if !named || !valued {
			return m, errReply("entry %s: field %d is a %T of a %T", id, i/2, fields[i+1], fields[i])
		}
		switch name {
		case fieldID:
			m.ID, ours = value, true
		case fieldTime:
			at = value
		case fieldKey:
			m.Key = value
		case fieldBody:
			m.Body = []byte(value)
		default:
			if m.Headers == nil {
				m.Headers = make(map[string]string, len(fields)/2)
			}
			m.Headers[name] = value
		}
	}
	if !ours {
		if err := adopt(&m, id); err != nil {
			return m, err
		}
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil { // an entry's id begins with the server's time
		first, _, _ := strings.Cut(id, "-")
		if ms, err = strconv.ParseInt(first, 10, 64); err != nil {
			return m, errReply("entry %q has no time", id)
		}
	}
	m.Time = time.UnixMilli(ms).UTC()
	return m, nil
}

// adopt makes a message of an entry that another program has added. Everything that it holds is in m.Headers and m.Body.
func adopt(m *broker.Message, id string) error {
	m.ID = m.Headers["ce-id"]
	if m.ID == "" {
		m.ID = id
	}
	all := m.Headers
	for _, name := range []string{"body", "data", "payload"} {
		if value, ok := all[name]; ok && m.Body == nil {
			m.Body = []byte(value)
			delete(all, name)
		}
	}
	if m.Body == nil {
		body, err := json.Marshal(all)
		if err != nil {
			return fmt.Errorf("entry %s: %w", id, err)
		}
		m.Body = body
	}
	for name, value := range all {
		if !isHeader(name, value) {
			delete(all, name)
		}
	}
	return nil
}

// isHeader reports whether a field is legal as a header of the port.
func isHeader(name, value string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return name != "" && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
}
