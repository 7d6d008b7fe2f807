package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lexigram.dev/events/cli"
	"lexigram.dev/events/drivers"
)

// lex runs a command line and gives its exit code and what it printed.
func lex(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, fault bytes.Buffer
	code = cli.New(cli.Options{Drivers: drivers.All(), Brokers: drivers.Brokers()}).Run(t.Context(), args, strings.NewReader(""), &out, &fault)
	return code, out.String(), fault.String()
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "application.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAConfigurationIsShownWithItsSourcesAndWithoutItsSecrets(t *testing.T) {
	t.Setenv("LEX_EVENTS__OUTBOX__BATCH_SIZE", "7")
	path := configFile(t, "events:\n  event_store_backend: postgres\n  postgres: {dsn: 'postgres://u:secret@h/d'}\n")
	code, out, fault := lex(t, "config", "show", "--config", path)
	for _, want := range []string{"KEY", "event_store_backend", path + ":2:3", "postgres://***@h/d", "LEX_EVENTS__OUTBOX__BATCH_SIZE", "default"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if code != 0 || fault != "" || strings.Contains(out, "secret") {
		t.Errorf("exit %d, %s\n%s", code, fault, out)
	}
	if _, out, _ := lex(t, "config", "show", "--changed", "--json", "--config", path); strings.Count(out, "\n") != 3 {
		t.Errorf("changed keys:\n%s", out)
	}
	if code, out, _ := lex(t, "config", "check", "--config", path); code != 0 || !strings.HasPrefix(out, "ok: 3 keys set, the store is postgres") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestACheckPrintsAllFaults(t *testing.T) {
	path := configFile(t, "events:\n  outbx: true\n  outbox: {batch_size: 0}\n")
	code, out, fault := lex(t, "config", "check", "--config", path)
	want := path + ":2:3: outbx: unknown key; did you mean outbox?\n" + path + ":3:12: outbox.batch_size: must be at least 1, not 0\n"
	if code != 1 || out != want || fault != "lexevents: config check: 2 faults\n" {
		t.Errorf("exit %d, %s%s", code, out, fault)
	}
	if code, out, _ := lex(t, "config", "schema"); code != 0 || !strings.Contains(out, `"$schema"`) {
		t.Errorf("exit %d: %.80s", code, out)
	}
}

func TestAConfigurationStandsInForAMissingURL(t *testing.T) {
	database := filepath.Join(t.TempDir(), "e.db")
	path := configFile(t, "events: {event_store_backend: sqlite, sqlite: {database: '"+database+"'}}\n")
	if code, _, fault := lex(t, "append", "order-1", "--type", "order.placed", "--data", "{}", "--config", path); code != 0 {
		t.Fatalf("append: %s", fault)
	}
	code, out, fault := lex(t, "read", "order-1", "--config", path)
	if code != 0 || !strings.Contains(out, "order.placed") {
		t.Errorf("exit %d, %s%s", code, out, fault)
	}
	code, _, fault = lex(t, "brokers", "--config", path)
	if code != 0 {
		t.Errorf("exit %d, %s", code, fault)
	}
	memory := configFile(t, "events:\n")
	for _, args := range [][]string{{"info"}, {"bench", "publish"}} {
		if code, _, fault := lex(t, append(args, "--config", memory)...); code != 2 || !strings.Contains(fault, "lives within its program alone") {
			t.Errorf("%v: exit %d, %s", args, code, fault)
		}
	}
	if code, _, fault := lex(t, "info", "--config", configFile(t, "events: {x: 1}")); code != 1 || !strings.Contains(fault, "x: unknown key") {
		t.Errorf("exit %d, %s", code, fault)
	}
}
