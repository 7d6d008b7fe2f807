package natsbroker

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
)

func TestAServerIsExamined(t *testing.T) {
	id := event.NewID().String()
	b, err := Open(t.Context(), testserver.URL(t, "TEST_NATS_URL"), Options{Stream: "test-" + id, Prefix: "test-" + id})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	t.Cleanup(func() { _ = b.js.DeleteStream(t.Context(), "test-"+id) })
	findings, err := b.Diagnose(t.Context())
	if err != nil || checkup.Worst(findings) == checkup.Fail {
		t.Fatalf("found %+v, %v", findings, err)
	}
	for _, check := range []string{"version", "clock", "room", "replicas"} {
		if f, ok := checkup.Find(findings, check); !ok || f.Level != checkup.OK || f.Found == "" {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if f, _ := checkup.Find(findings, "durability"); f.Level != checkup.Warn || f.Cure == "" { // of one server, whose sync_interval is not known
		t.Errorf("durability: %+v", f)
	}
}

func TestStreamsThatLoseMessagesAreFound(t *testing.T) {
	info := func(c jetstream.StreamConfig, bytes uint64, peers ...*jetstream.PeerInfo) *jetstream.StreamInfo {
		return &jetstream.StreamInfo{Config: c, State: jetstream.StreamState{Bytes: bytes}, Cluster: &jetstream.ClusterInfo{Replicas: peers}}
	}
	for name, c := range map[string]struct {
		found checkup.Finding
		want  checkup.Level
	}{
		"three files":   {durable(jetstream.StreamConfig{Replicas: 3, Discard: jetstream.DiscardNew}, false), checkup.OK},
		"synced":        {durable(jetstream.StreamConfig{Replicas: 1, Discard: jetstream.DiscardNew}, true), checkup.OK},
		"one file":      {durable(jetstream.StreamConfig{Replicas: 1, Discard: jetstream.DiscardNew}, false), checkup.Warn},
		"memory":        {durable(jetstream.StreamConfig{Replicas: 1, Storage: jetstream.MemoryStorage}, false), checkup.Fail},
		"discards":      {durable(jetstream.StreamConfig{Replicas: 3, Discard: jetstream.DiscardOld, MaxMsgs: 5}, false), checkup.Fail},
		"nearly full":   {room(info(jetstream.StreamConfig{MaxBytes: 100}, 95)), checkup.Warn},
		"half full":     {room(info(jetstream.StreamConfig{MaxBytes: 100}, 50)), checkup.OK},
		"a server away": {replicas(info(jetstream.StreamConfig{}, 0, &jetstream.PeerInfo{Name: "b", Offline: true})), checkup.Warn},
		"all there":     {replicas(info(jetstream.StreamConfig{}, 0, &jetstream.PeerInfo{Name: "b", Current: true})), checkup.OK},
	} {
		if c.found.Level != c.want || (c.found.Cure == "") != (c.want == checkup.OK) {
			t.Errorf("%s: %+v, want %s", name, c.found, c.want)
		}
	}
}
