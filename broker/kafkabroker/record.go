package kafkabroker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// The headers of a record. CloudEvents has its own names for Kafka: "ce_type" for what is "ce-type" over HTTP and with
// us. What would be taken for one of those, or for one of ours, is escaped.
const (
	headerTime   = "lex_time" // Message.Time in ms since 1970, where it is not that of the record
	headerID     = "lex_id"   // Message.ID, where it is not that of the CloudEvent
	headerEscape = "lex_h_"   // before a header's name that begins like one of these
	headerOwn    = "lex_"     // what our own headers begin with
	kafkaEvent   = "ce_"      // what CloudEvents' headers begin with here
	portEvent    = "ce-"      // and with us
	eventID      = "ce-id"    // the CloudEvent's id, with us
)

// What a message of another program is fitted to: the port's defaults. A message beyond them could be handled, but not
// be published again, as a dead letter for one.
const (
	maxKeyBytes = 512
	maxHeaders  = 64
	deadHeaders = 4 // that a dead letter gets besides
)

// nearby is how far from now a message's time may be to be that of its record. Kafka deletes by that time, so a message
// about something old must not look old to it, and refuses those of the future.
const nearby = 5 * time.Minute

// newRecord makes the record of a message. Key and body are copied into buf, which has room for them.
func newRecord(m *broker.Message, now time.Time, buf []byte) (kgo.Record, []byte) {
	r := kgo.Record{Topic: m.Topic, Timestamp: m.Time}
	if m.Key != "" {
		buf = append(buf, m.Key...)
		r.Key, buf = buf[:len(m.Key):len(m.Key)], buf[len(m.Key):]
	}
	buf = append(buf, m.Body...)
	r.Value, buf = buf[:len(m.Body):len(m.Body)], buf[len(m.Body):]
	r.Headers = make([]kgo.RecordHeader, 0, len(m.Headers)+2)
	if m.Headers[eventID] != m.ID || len(m.Headers) > maxHeaders {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerID, Value: []byte(m.ID)})
	}
	if now.Sub(m.Time).Abs() > nearby {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerTime, Value: strconv.AppendInt(nil, m.Time.UnixMilli(), 10)})
		r.Timestamp = now
	}
	for name, value := range m.Headers {
		if event, ok := strings.CutPrefix(name, portEvent); ok {
			name = kafkaEvent + event
		} else if strings.HasPrefix(name, kafkaEvent) || strings.HasPrefix(name, headerOwn) {
			name = headerEscape + name
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r, buf
}

// portName gives a record's header the name that it has with us.
func portName(name string) string {
	name = fitName(name)
	if own, ok := strings.CutPrefix(name, headerEscape); ok && own != "" {
		return own
	}
	if event, ok := strings.CutPrefix(name, kafkaEvent); ok {
		return portEvent + event
	}
	return name
}

// fitKey gives a key as the port allows it; of one that it does not, a hash.
func fitKey(key []byte) string {
	if len(key) <= maxKeyBytes {
		if text := string(key); fitText(text) == text {
			return text
		}
	}
	sum := sha256.Sum256(key)
	return "sha256-" + hex.EncodeToString(sum[:])
}

// fitName gives a header's name as the port allows it.
func fitName(name string) string {
	legal := func(r rune) bool {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if name == "" {
		return "_"
	}
	if strings.IndexFunc(name, func(r rune) bool { return !legal(r) }) < 0 {
		return name
	}
	return strings.Map(func(r rune) rune {
		if r = unicode.ToLower(r); !legal(r) {
			return '_'
		}
		return r
	}, name)
}

// fitText gives a text as the port allows it: what is no text, or holds control characters, in Go's notation.
func fitText(s string) string {
	if isPlain(s) || utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	return strings.Trim(fmt.Sprintf("%+q", s), `"`)
}

// isPlain is a quick look at a text: nothing but printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
