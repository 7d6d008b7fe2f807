package kafkabroker

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func TestAURLNamesHostsAndOptions(t *testing.T) {
	o, err := ParseURL("kafkas://al%40ice:p%3Aw%2F%3F@h1:9092,h2:9093/?sasl=SCRAM-SHA-256&partitions=3&replication=2&client_id=shop&create=false&instance_id=i1" +
		"&max_message_bytes=1000&publish_timeout=5s&session_timeout=6s&revoke_wait=7s")
	if err != nil {
		t.Fatal(err)
	}
	if o.TLS == nil {
		t.Error("kafkas:// is not encrypted")
	}
	o.TLS = nil
	want := Options{
		Brokers: []string{"h1:9092", "h2:9093"}, User: "al@ice", Password: "p:w/?", SASL: scramSHA256, Partitions: 3, Replication: 2, ClientID: "shop", NoCreate: true,
		InstanceID: "i1", MaxMessageBytes: 1000, PublishTimeout: 5 * time.Second, SessionTimeout: 6 * time.Second, RevokeWait: 7 * time.Second,
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v\nwant %+v", o, want)
	}
	if o, err := ParseURL("kafka://h?tls=true"); err != nil || o.TLS == nil {
		t.Errorf("tls=true: %+v, %v", o, err)
	}
}

func TestABadURLIsRefusedWithoutShowingItsPassword(t *testing.T) {
	for _, url := range []string{
		"", "kafka:h", "kafka://", "kafka:///x", "redis://u:secret@h", "kafka://u:secret@", "kafka://u:sec/ret@secret/x", "kafka://u:%zzsecret@h",
		"kafka://u:secret@h?nope=secret1", "kafka://u:secret@h?partitions=secret", "kafka://u:secret@h?partitions=1&partitions=2",
		"kafka://u:secret@h?partitions=0x", "kafkas://u:secret@h?tls=false", "kafka://u:secret@h?%zz",
	} {
		_, err := ParseURL(url)
		if !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want ErrInvalid without the secret", url, err)
		}
	}
	for _, url := range []string{"kafka://h?partitions=-1", "kafka://u:secret@h?sasl=kerberos", "kafka://u@h?sasl=plain", "kafka://h?session_timeout=1ms", "kafka://h,,h2"} {
		if _, err := OpenURL(t.Context(), url); !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want ErrInvalid without the secret", url, err)
		}
	}
}
