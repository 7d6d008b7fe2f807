package natsbroker

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
)

// The headers that carry what a message of the port has beside headers and body. They have capital letters, which headers
// of the port have not.
const (
	headerMsgID   = nats.MsgIdHdr      // "<topic>/<id>": the server's deduplication is over all topics of a stream
	headerID      = "Lexigram-Id"      // only where headerMsgID does not have it
	headerKey     = "Lexigram-Key"     // none: ""
	headerTime    = "Lexigram-Time"    // ms since 1970
	headerEscaped = "Lexigram-Escaped" // names of headers whose values are percent-encoded, divided by spaces
)

// encode makes the message of the client. The body is not copied: the client copies it when it publishes.
func (b *Backend) encode(m *broker.Message) *nats.Msg {
	h := make(nats.Header, len(m.Headers)+4)
	var escaped []string
	set := func(name, value string) {
		if bare := strings.Trim(value, " \t"); len(bare) != len(value) { // NATS trims
			escaped = append(escaped, name)
			value = url.PathEscape(value)
		}
		h[name] = []string{value}
	}
	for name, value := range m.Headers {
		set(name, value)
	}
	if b.options.Dedupe > 0 {
		h[headerMsgID] = []string{m.Topic + "/" + url.PathEscape(m.ID)}
	} else {
		set(headerID, m.ID)
	}
	if m.Key != "" {
		set(headerKey, m.Key)
	}
	h[headerTime] = []string{strconv.FormatInt(m.Time.UnixMilli(), 10)}
	if escaped != nil {
		h[headerEscaped] = []string{strings.Join(escaped, " ")}
	}
	return &nats.Msg{Subject: subject(b.options.Prefix, m.Topic, partitionOf(m.Key, b.partitions)), Header: h, Data: m.Body}
}

// decode makes the message of the port, also of one that another program has published: its id is then Nats-Msg-Id or
// ce-id, or else its place in the stream; its time is when it was stored.
func (b *Backend) decode(raw *nats.Msg, meta *nats.MsgMetadata) broker.Message {
	m := broker.Message{Topic: topicOf(b.options.Prefix, raw.Subject), Body: raw.Data}
	escaped := strings.Fields(raw.Header.Get(headerEscaped))
	value := func(name string, values []string) string {
		v := values[0]
		for _, e := range escaped {
			if plain, err := url.PathUnescape(v); e == name && err == nil {
				return plain
			}
		}
		return v
	}
	for name, values := range raw.Header {
		if len(values) == 0 {
			continue
		}
		switch v := value(name, values); {
		case name == headerMsgID:
			if m.ID == "" {
				m.ID = idOf(m.Topic, v)
			}
		case name == headerID:
			m.ID = v
		case name == headerKey:
			m.Key = v
		case name == headerTime:
			if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
				m.Time = time.UnixMilli(ms).UTC()
			}
		case strings.HasPrefix(name, "Nats-"), name == headerEscaped:
		default:
			name = strings.ToLower(name)
			if !isHeader(name, v) {
				continue
			}
			if m.Headers == nil {
				m.Headers = make(map[string]string, len(raw.Header))
			}
			m.Headers[name] = v
		}
	}
	if m.ID == "" {
		m.ID = m.Headers["ce-id"]
	}
	if m.ID == "" {
		m.ID = fmt.Sprintf("%s/%d", meta.Stream, meta.Sequence.Stream)
	}
	if m.Time.IsZero() {
		m.Time = meta.Timestamp.UTC().Truncate(time.Millisecond)
	}
	return m
}

// idOf is the id in a Nats-Msg-Id: ours has the topic before it.
func idOf(topic, msgID string) string {
	if own, ok := strings.CutPrefix(msgID, topic+"/"); ok {
		if id, err := url.PathUnescape(own); err == nil {
			return id
		}
	}
	return msgID
}

// isHeader reports whether a header of another program is legal as one of the port.
func isHeader(name, value string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return name != "" && utf8.ValidString(value) && strings.IndexFunc(value, unicode.IsControl) < 0
}

// timeOf is when a message of a stream was published, or else stored.
func timeOf(raw *jetstream.RawStreamMsg) time.Time {
	if ms, err := strconv.ParseInt(raw.Header.Get(headerTime), 10, 64); err == nil {
		return time.UnixMilli(ms).UTC()
	}
	return raw.Time.UTC().Truncate(time.Millisecond)
}
