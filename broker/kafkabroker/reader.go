package kafkabroker

import (
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// reader reads records. Those that follow each other mostly have the same names of headers and many of the same values,
// so it knows those that it has read last. It is for one goroutine.
type reader struct{ known []known }

// known is a header that was read.
type known struct {
	key, name   string // in the record, and with us
	text, value string // likewise
}

// maxKnown bounds how many names of headers a reader knows.
const maxKnown = 16

// read reads a record, of whatever program.
func (rd *reader) read(r *kgo.Record) broker.Message {
	m := broker.Message{Topic: r.Topic, Key: fitKey(r.Key), Body: r.Value, Time: r.Timestamp.UTC()}
	headers := r.Headers
	if len(headers) > maxHeaders && !slices.ContainsFunc(headers, func(h kgo.RecordHeader) bool { return h.Key == headerID }) {
		headers = headers[:maxHeaders-deadHeaders] // of another program: those that there is room for
	}
	event := ""
	for _, h := range headers {
		switch h.Key {
		case headerID:
			m.ID = fitText(string(h.Value))
			continue
		case headerTime:
			if ms, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
				m.Time = time.UnixMilli(ms).UTC()
			}
			continue
		}
		if m.Headers == nil {
			m.Headers = make(map[string]string, len(headers))
		}
		name, value := rd.header(h)
		m.Headers[name] = value
		if name == eventID {
			event = value
		}
	}
	if m.ID == "" {
		m.ID = event
	}
	if m.ID == "" || len(m.ID) > maxKeyBytes {
		m.ID = r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10)
	}
	return m
}

// header gives the name and value that a record's header has with us.
func (rd *reader) header(h kgo.RecordHeader) (name, value string) {
	i := 0
	for i < len(rd.known) && rd.known[i].key != h.Key {
		i++
	}
	if i == maxKnown {
		return portName(h.Key), fitText(string(h.Value))
	}
	if i == len(rd.known) {
		rd.known = append(rd.known, known{key: h.Key, name: portName(h.Key)})
	}
	k := &rd.known[i]
	if k.text != string(h.Value) {
		k.text = string(h.Value)
		k.value = fitText(k.text)
	}
	return k.name, k.value
}
