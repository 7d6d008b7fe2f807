package kafkabroker

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

func TestACloudEventIsOneForKafkaToo(t *testing.T) {
	m := broker.Message{
		ID: "e1", Topic: "orders", Key: "order-7", Time: time.UnixMilli(1_700_000_000_123).UTC(), Body: []byte(`{"n":1}`),
		Headers: map[string]string{"ce-id": "e1", "ce-type": "order.placed", "content-type": "application/json", "other": "x"},
	}
	r, _ := newRecord(&m, m.Time, nil)
	got := map[string]string{}
	for _, h := range r.Headers {
		got[h.Key] = string(h.Value)
	}
	want := map[string]string{"ce_id": "e1", "ce_type": "order.placed", "content-type": "application/json", "other": "x"}
	if !maps.Equal(got, want) || string(r.Key) != "order-7" || string(r.Value) != `{"n":1}` || !r.Timestamp.Equal(m.Time) {
		t.Errorf("got %v, key %q", got, r.Key)
	}
}

func TestEveryHeaderComesBackAsItWas(t *testing.T) {
	for _, id := range []string{"m1", "e1"} {
		m := broker.Message{ID: id, Topic: "t", Headers: map[string]string{
			"ce-id": "e1", "ce_id": "not the event's", "lex_id": "not the message's", "lex_h_x": "1", "ce_": "2", "ce-": "3", "plain": "",
		}}
		r, _ := newRecord(&m, m.Time, nil)
		got := new(reader).read(&r)
		if got.ID != id || !maps.Equal(got.Headers, m.Headers) {
			t.Errorf("got id %q and %v, want %q and %v", got.ID, got.Headers, id, m.Headers)
		}
	}
}

func TestAMessageAboutSomethingOldDoesNotLookOldToKafka(t *testing.T) {
	now := time.Now()
	for _, at := range []time.Time{now.Add(-time.Hour), now.Add(time.Hour), now.Add(-time.Minute)} {
		m := broker.Message{ID: "m", Topic: "t", Time: at.UTC().Truncate(time.Millisecond)}
		r, _ := newRecord(&m, now, nil)
		if now.Sub(r.Timestamp).Abs() > nearby {
			t.Errorf("the record's time is %v", r.Timestamp)
		}
		if got := new(reader).read(&r); !got.Time.Equal(m.Time) || got.Headers != nil {
			t.Errorf("got time %v and headers %v, want %v and none", got.Time, got.Headers, m.Time)
		}
	}
}

func TestMessagesOfOtherProgramsAreFittedToThePort(t *testing.T) {
	r := kgo.Record{
		Topic: "orders", Partition: 3, Offset: 42, Timestamp: time.UnixMilli(5), Key: []byte{0xff, 1},
		Headers: []kgo.RecordHeader{{Key: "X-Trace ID", Value: []byte("a\x00b")}, {Key: "", Value: nil}, {Key: "ce_source", Value: []byte("/s")}},
	}
	m := new(reader).read(&r)
	if m.ID != "orders/3/42" || !m.Time.Equal(time.UnixMilli(5)) || !strings.HasPrefix(m.Key, "sha256-") {
		t.Errorf("got %+v", m)
	}
	want := map[string]string{"x-trace_id": `a\x00b`, "_": "", "ce-source": "/s"}
	if !maps.Equal(m.Headers, want) {
		t.Errorf("headers %v, want %v", m.Headers, want)
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ce_id", Value: []byte("theirs")})
	if m := new(reader).read(&r); m.ID != "theirs" {
		t.Errorf("id %q, want that of the CloudEvent", m.ID)
	}
	r.Headers = nil
	for range 100 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: strings.Repeat("h", len(r.Headers)+1)})
	}
	r.Key = []byte(strings.Repeat("k", 1000))
	// It can be published again, as a dead letter is: with the headers that a dead letter gets besides.
	m = new(reader).read(&r)
	for _, name := range []string{broker.HeaderDeadGroup, broker.HeaderDeadTopic, broker.HeaderDeadError, broker.HeaderDeadAttempts} {
		m.Headers[name] = "x"
	}
	if err := broker.New(&Backend{maxMessage: 1000000}, broker.Options{}).Check(m); err != nil {
		t.Error(err)
	}
}

func FuzzEveryRecordMakesAMessageThatThePortAllows(f *testing.F) {
	b := broker.New(&Backend{maxMessage: 1 << 20}, broker.Options{})
	f.Add([]byte("key"), "ce_type", []byte("order.placed"), "lex_id", []byte("1"))
	f.Add([]byte{0xff}, "Ünï", []byte{0}, "", []byte("\u0085"))
	f.Fuzz(func(t *testing.T, key []byte, name string, value []byte, name2 string, value2 []byte) {
		m := new(reader).read(&kgo.Record{Topic: "t", Key: key, Headers: []kgo.RecordHeader{{Key: name, Value: value}, {Key: name2, Value: value2}}})
		if err := b.Check(m); err != nil && len(name)+len(name2)+len(value)+len(value2) < 1<<19 {
			t.Error(err)
		}
	})
}
