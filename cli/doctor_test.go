package cli_test

import (
	"path/filepath"
	"strings"
	"testing"

	"lexigram.dev/events/internal/testserver"
)

func TestDoctorExaminesAFileAndChangesNothing(t *testing.T) {
	s := newShell(t)
	o := s.run("doctor")
	if o.code != 1 || !strings.Contains(o.stdout, "migrate up") || !strings.Contains(o.stderr, "1 of 1 check failed") {
		t.Errorf("got %+v", o)
	}
	has(t, s.must("migrate", "status"), "pending") // it was not made
	s.append("order-7", "order.placed", "{}")
	out := s.must("doctor")
	has(t, out, "ok    store   journal mode", "free space", "migrations", "dead letters", "0 failed")
	for _, f := range objects(t, s.must("doctor", "--json")) {
		if f["part"] == "" || f["check"] == "" || f["level"] != "ok" && f["cure"] == nil {
			t.Errorf("finding %v", f)
		}
	}
}

func TestDoctorFindsWhatStandsAndWhoMustBeAsked(t *testing.T) {
	s := newShell(t)
	t.Setenv("LEX_EVENTS_BROKER", "")
	o := s.run("doctor", "--store", "", "--broker", "memory:")
	if o.code != 0 || !strings.Contains(o.stdout, "warn  broker  durability") || strings.Contains(o.stdout, "store ") {
		t.Errorf("got %+v", o)
	}
	s.refuses(2, []string{"--store", "--broker"}, "doctor", "--store", "")
	s.refuses(2, []string{"oracle"}, "doctor", "--store", "oracle:x")
	s.refuses(2, []string{"pigeon"}, "doctor", "--broker", "pigeon:x")
	s.refuses(2, []string{"--timeout"}, "doctor", "--timeout", "0s")
	o = s.run("doctor", "--store", "postgres://somebody:secret@127.0.0.1:1/nothing", "--timeout", "2s")
	if o.code != 1 || !strings.Contains(o.stdout, "start the server") || strings.Contains(o.stdout+o.stderr, "secret") {
		t.Errorf("got %+v", o)
	}
}

func TestDoctorExaminesWhatAConfigurationNames(t *testing.T) {
	t.Setenv("LEX_EVENTS_STORE", "")
	t.Setenv("LEX_EVENTS_BROKER", "")
	database := filepath.Join(t.TempDir(), "e.db")
	sqlite := "event_store_backend: sqlite, sqlite: {database: '" + database + "'}"
	path := configFile(t, "events: {"+sqlite+", env: production, debug: true, version_skew_alerts_enabled: false}\n")
	if code, _, fault := lex(t, "append", "order-1", "--type", "order.placed", "--data", "{}", "--config", path); code != 0 {
		t.Fatal(fault)
	}
	code, out, fault := lex(t, "doctor", "--config", path)
	if code != 0 || fault != "" {
		t.Errorf("exit %d: %s", code, fault)
	}
	has(t, out, "ok    config  valid", path+": 5 keys set", "warn  config  broker", "memory broker", "warn  config  debug", "warn  config  alerts", "ok    store   migrations")

	path = configFile(t, "events: {"+sqlite+", event_bus: {backend: nats}, nats: {url: 'nats://u:secret@127.0.0.1:1'}}\n")
	code, out, fault = lex(t, "doctor", "--timeout", "2s", "--config", path)
	if code != 1 || strings.Contains(out+fault, "secret") {
		t.Errorf("exit %d: %s%s", code, out, fault)
	}
	has(t, out, "ok    store   migrations", "fail  broker")

	code, out, _ = lex(t, "doctor", "--config", configFile(t, "events:\n  outbx: true\n  outbox: {batch_size: 0}\n"))
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	has(t, out, "fail  config  valid", ":2:3: outbx: unknown key; did you mean outbox?", "must be at least 1", "2 failed")

	code, _, fault = lex(t, "doctor", "--config", configFile(t, "events:\n"))
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	has(t, fault, "memory store and the memory broker")
}

func TestDoctorExaminesEachServer(t *testing.T) {
	for variable, flag := range map[string]string{
		"TEST_POSTGRES_URL": "--store", "TEST_MONGO_URL": "--store", "TEST_REDIS_DURABLE_URL": "--store", "TEST_NATS_URL": "--broker",
		"TEST_RABBITMQ_URL": "--broker", "TEST_KAFKA_URL": "--broker",
	} {
		t.Run(variable, func(t *testing.T) {
			url := testserver.URL(t, variable)
			s := newShell(t)
			args := []string{"doctor", "--json", flag, url}
			if flag == "--broker" {
				args = append(args, "--store", "")
			}
			o := s.run(args...)
			checks := map[any]any{}
			for _, f := range objects(t, o.stdout) {
				checks[f["check"]] = f["level"]
			}
			if checks["reachable"] != "ok" || checks["version"] == nil || checks["durability"] == nil {
				t.Errorf("found %v; %s", checks, o.stderr)
			}
		})
	}
}
