package natsbroker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func TestAURLIsReadAndNeverShown(t *testing.T) {
	var o Options
	s, err := parseURL("nats://ann:p%40ss@a:4222,b:4223?stream=x&prefix=p.q&create=false&partitions=4&lease=5s&retention=interest&replicas=3"+
		"&memory=true&max_age=1h&max_bytes=5000&dedupe=1m&sync_always=true&timeout=2s&tls=false", &o)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(s.hosts, " ") != "nats://a:4222 nats://b:4223" || len(s.client) != 1 {
		t.Errorf("got %v and %d settings", s.hosts, len(s.client))
	}
	if o.Stream != "x" || o.Prefix != "p.q" || !o.NoCreate || o.Partitions != 4 || o.Lease != 5*time.Second || o.Retention != Interest || o.Replicas != 3 ||
		!o.InMemory || o.MaxAge != time.Hour || o.MaxBytes != 5000 || o.Dedupe != time.Minute || !o.SyncAlways || o.Timeout != 2*time.Second {
		t.Errorf("got %+v", o)
	}
	for _, bad := range []string{
		"nats:", "nats://", "redis://h", "nats://u:secret@h:4222?nonsense=1", "nats://u:secret@h:x", "nats://u:secret%@h", "nats://h?lease=x",
		"nats://h?retention=some", "nats://u:secret@h/path", "nats://h?tls_cert=x", "nats://h?nkey=/nowhere/secret", "nats://h?tls=perhaps",
	} {
		if _, err := parseURL(bad, &Options{}); !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	if err := (Options{Stream: "a b", Prefix: "*", Partitions: 300, Lease: 1, Replicas: 9, MaxDeliver: 3}).withDefaults().validate(); err == nil ||
		len(strings.Split(err.Error(), "\n")) != 6 {
		t.Errorf("got %v, want 6 faults together", err)
	}
}

func TestTopicsWithDotsNeverShareASubject(t *testing.T) {
	seen := map[string]string{}
	for _, topic := range []string{"a", "a.b", "a.0", "a.any", "a.b.0", "any", "0"} {
		for _, p := range []int{anyPartition, 0, 1} {
			s := subject("x.y", topic, p)
			if other, taken := seen[s]; taken {
				t.Errorf("%s and %s share %s", topic, other, s)
			}
			seen[s] = topic
			if got := topicOf("x.y", s); got != topic {
				t.Errorf("%s is of topic %q, want %q", s, got, topic)
			}
		}
	}
	if a, b := consumerName("g.a", "b", 0), consumerName("g", "a.b", 0); a == b {
		t.Errorf("two groups share the consumer %s", a)
	}
	if n := consumerName(strings.Repeat("g", 200), strings.Repeat("t", 200), 255); len(n) > 255 || strings.ContainsAny(n, ". ") {
		t.Errorf("%s is no name of a consumer", n)
	}
}
