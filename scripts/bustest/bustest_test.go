package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/internal/testserver"
)

// The test binary runs itself as the processes of the test.
func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(runChild(text))
	}
	os.Exit(m.Run())
}

// A small proof on each broker that is there. The servers belong to all tests, so they are not restarted.
func TestEveryBrokerKeepsItsPromisesUnderFire(t *testing.T) {
	for name, c := range map[string]struct{ variable, parameters, store string }{
		"redis":                {"TEST_REDIS_DURABLE_URL", "?lease=1s", ""},
		"rabbitmq":             {"TEST_RABBITMQ_URL", "", ""},
		"kafka":                {"TEST_KAFKA_URL", "?session_timeout=3s", ""},
		"nats":                 {"TEST_NATS_DURABLE_URL", "?lease=1s&sync_always=true", ""},
		"redis and the outbox": {"TEST_REDIS_DURABLE_URL", "?lease=1s", "sqlite:"},
	} {
		t.Run(name, func(t *testing.T) {
			url := testserver.URL(t, c.variable)
			b := bustest{
				broker: url + c.parameters, messages: 5000, keys: 200, publishers: 2, consumers: 3, lasts: 5 * time.Second,
				patience: time.Minute, maxRSS: 1 << 30,
			}
			if c.store != "" {
				b.store = c.store + t.TempDir() + "/events.db"
			}
			s, err := b.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s.Distinct != b.messages || s.Kills == 0 || s.Faults == 0 || s.Letters == 0 {
				t.Errorf("it proved little: %+v", s)
			}
			t.Logf("%+v", s)
		})
	}
}

func TestALedgerTellsWhatIsSkippedAndCountsWhatComesAgain(t *testing.T) {
	folder := t.TempDir()
	l, err := openLedger(folder, handledLedger)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.file.Close() }()
	f, err := follow(folder, handledLedger)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.file.Close() }()
	for _, n := range []int{1, 2, 3, 2, 3, 4} {
		if err := l.note("k", n, n == 2); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.file.WriteString("k 5"); err != nil { // a line that is being written
		t.Fatal(err)
	}
	if err := f.read(); err != nil || f.lines != 6 || f.distinct != 4 || f.highest["k"] != 4 || f.countPoisoned() != 1 {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := l.file.WriteString(" false\nk 7 false\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.read(); err == nil || !strings.Contains(err.Error(), "message 7 of key k after message 5") {
		t.Errorf("got %v, want that message 6 was skipped", err)
	}
}

func TestWhatIsNotHandledIsFound(t *testing.T) {
	folder := t.TempDir()
	want, err := follow(folder, confirmedLedger)
	if err != nil {
		t.Fatal(err)
	}
	handled, err := follow(folder, handledLedger)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = want.file.Close(), handled.file.Close() }()
	want.highest["k"], handled.highest["k"] = 3, 2
	b := bustest{patience: 60 * time.Millisecond}
	if err := b.settle(t.Context(), handled, want); err == nil || !strings.Contains(err.Error(), "key k up to 2 of 3") {
		t.Errorf("got %v, want the missing message", err)
	}
}
