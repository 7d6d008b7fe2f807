package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/broker"
)

func TestBrokersListsWhatIsLinkedOrTellsWhatABrokerIs(t *testing.T) {
	s := newShell(t)
	t.Setenv("LEX_EVENTS_BROKER", "")
	if out := s.must("brokers"); !strings.Contains(out, "memory") || !strings.HasPrefix(out, "BROKER") {
		t.Errorf("printed %q", out)
	}
	if out := s.must("brokers", "--json"); !strings.HasPrefix(out, `{"broker":"memory","schemes":["memory"],"example":"memory:"}`) {
		t.Errorf("printed %q", out)
	}
	if out := s.must("brokers", "--broker", "memory:"); !strings.Contains(out, "this process") || !strings.Contains(out, "one after the other") {
		t.Errorf("printed %q", out)
	}
	t.Setenv("LEX_EVENTS_BROKER", "memory:")
	var d broker.Description
	if err := json.Unmarshal([]byte(s.must("brokers", "--json")), &d); err != nil || d.Broker != "memory" || !d.Features.Ordered {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestBenchPublishAndConsumeMeasureABroker(t *testing.T) {
	s := newShell(t)
	small := []string{"--broker", "memory:", "--messages", "500", "--duration", "1ms"}
	if out := s.must(append([]string{"bench", "publish", "--batch", "7", "--in-flight", "3"}, small...)...); !strings.Contains(out, "messages/s, confirmed") || !strings.Contains(out, "7 messages each") {
		t.Errorf("printed %q", out)
	}
	if out := s.must(append([]string{"bench", "consume", "--in-flight", "50"}, small...)...); !strings.Contains(out, "messages/s, acknowledged") {
		t.Errorf("printed %q", out)
	}
	var f admin.BrokerFigures
	if err := json.Unmarshal([]byte(s.must(append([]string{"bench", "consume", "--json"}, small...)...)), &f); err != nil {
		t.Fatal(err)
	}
	if f.Publish.MessagesPerSecond <= 0 || f.Consume.MessagesPerSecond <= 0 || f.Publish.Ratio != 0 || f.Rounds < 3 {
		t.Errorf("got %+v", f)
	}
}

func TestAMissingOrUnknownBrokerIsAFaultOfTheCommandLine(t *testing.T) {
	s := newShell(t)
	t.Setenv("LEX_EVENTS_BROKER", "")
	for want, args := range map[string][]string{
		"no broker":         {"bench", "publish"},
		"memory (memory:)":  {"bench", "consume", "--broker", "pigeon:x"},
		"not be negative":   {"bench", "publish", "--broker", "memory:", "--batch", "-1"},
		"must begin with a": {"brokers", "--broker", "memory"},
	} {
		if o := s.run(args...); o.code != 2 || !strings.Contains(o.stderr, want) {
			t.Errorf("%v: exit code %d, %q; want 2 and %q", args, o.code, o.stderr, want)
		}
	}
}
