package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lexigram.dev/events/cli"
	"lexigram.dev/events/drivers"
)

// outcome is what one command line gave.
type outcome struct {
	code           int
	stdout, stderr string
}

// lexevents gives the commands as the program links them.
func lexevents() *cli.Commands {
	return cli.New(cli.Options{
		Drivers: drivers.All(), Baseline: drivers.OpenBaseline, Brokers: drivers.Brokers(), BrokerBaseline: drivers.OpenBrokerBaseline,
	})
}

// shell runs command lines on one store.
type shell struct {
	t     *testing.T
	store string
	stdin string
}

// newShell gives a shell on a SQLite file that does not exist yet.
func newShell(t *testing.T) *shell {
	t.Helper()
	t.Setenv("LEX_EVENTS_STORE", "")
	return &shell{t: t, store: "sqlite:" + filepath.Join(t.TempDir(), "events.db")}
}

func (s *shell) run(args ...string) outcome {
	s.t.Helper()
	return s.runContext(s.t.Context(), args...)
}

func (s *shell) runContext(ctx context.Context, args ...string) outcome {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	code := lexevents().Run(ctx, append([]string{"--store", s.store}, args...), strings.NewReader(s.stdin), &stdout, &stderr)
	return outcome{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// must runs a command line that succeeds, and gives what it printed.
func (s *shell) must(args ...string) string {
	s.t.Helper()
	o := s.run(args...)
	if o.code != 0 || o.stderr != "" {
		s.t.Fatalf("lexevents %s: exit code %d, %s", strings.Join(args, " "), o.code, o.stderr)
	}
	return o.stdout
}

// refuses runs a command line that fails with this code and one line that holds all the words.
func (s *shell) refuses(code int, words []string, args ...string) {
	s.t.Helper()
	o := s.run(args...)
	line := strings.TrimSuffix(o.stderr, "\n")
	if o.code != code || line == "" || strings.Contains(line, "\n") {
		s.t.Errorf("lexevents %q: exit code %d, want %d; printed %q", args, o.code, code, o.stderr)
	}
	for _, word := range words {
		if !strings.Contains(line, word) {
			s.t.Errorf("lexevents %q: the error %q does not name %q", args, line, word)
		}
	}
}

func (s *shell) append(stream, eventType, data string) {
	s.t.Helper()
	s.must("append", stream, "--type", eventType, "--data", data)
}

// has checks that a text holds all the words.
func has(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is missing in:\n%s", word, text)
		}
	}
}

// objects decodes lines of JSON.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, o)
	}
	return all
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAWrongCommandLineExitsWithTwoAndSaysWhy(t *testing.T) {
	s := newShell(t)
	for _, c := range []struct {
		words []string
		args  []string
	}{
		{[]string{"unknown command", "foo"}, []string{"foo"}},
		{[]string{"unknown flag", "--nope"}, []string{"info", "--nope"}},
		{[]string{"lexevents read", "1 arg"}, []string{"read"}},
		{[]string{"lexevents append", "type"}, []string{"append", "order-7", "--data", "1"}},
		{[]string{"--expect", "sometimes"}, []string{"append", "order-7", "--type", "x", "--data", "1", "--expect", "sometimes"}},
		{[]string{"--expect", "-1"}, []string{"append", "order-7", "--type", "x", "--data", "1", "--expect", "-1"}},
		{[]string{"--id", "zz"}, []string{"append", "order-7", "--type", "x", "--data", "1", "--id", "zz"}},
		{[]string{"--from", "-1"}, []string{"read", "order-7", "--from", "-1"}},
		{[]string{"--limit", "-2"}, []string{"read", "order-7", "--limit", "-2"}},
		{[]string{"--from", "-3"}, []string{"tail", "--from", "-3"}},
		{[]string{"migrate", "up, status"}, []string{"migrate"}},
		{[]string{"migrate", "down"}, []string{"migrate", "down"}},
		{[]string{"bench", "append, read, subscribe, project, publish, consume"}, []string{"bench"}},
		{[]string{"--samples"}, []string{"bench", "subscribe", "--samples", "0"}},
		{[]string{"--events"}, []string{"bench", "project", "--events", "0"}},
		{[]string{"negative"}, []string{"bench", "append", "--writers", "-1"}},
		{[]string{"--events"}, []string{"bench", "read", "--events", "0"}},
		{[]string{"oracle", "memory:", "sqlite:"}, []string{"info", "--store", "oracle:x"}},
		{[]string{"colon", "sqlite:"}, []string{"info", "--store", "events.db"}},
		{[]string{"--store", "LEX_EVENTS_STORE"}, []string{"info", "--store", ""}},
	} {
		s.refuses(2, c.words, c.args...)
	}
	if _, err := os.Stat(strings.TrimPrefix(s.store, "sqlite:")); err == nil {
		t.Error("a wrong command line created a store")
	}
}

func TestReadingNeverCreatesAMissingStore(t *testing.T) {
	s := newShell(t)
	path := strings.TrimPrefix(s.store, "sqlite:")
	for _, args := range [][]string{
		{"info"}, {"streams"}, {"read", "order-7"}, {"tail", "--no-follow"}, {"export"}, {"verify"},
	} {
		s.refuses(1, []string{path, "migrate up"}, args...)
	}
	has(t, s.must("migrate", "status"), "pending")
	if found, err := filepath.Glob(path + "*"); err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestAFileThatIsNoStoreIsRefused(t *testing.T) {
	s := newShell(t)
	path := write(t, strings.Repeat("this is a letter, not a database\n", 100))
	s.store = "sqlite:" + path
	for _, args := range [][]string{{"info"}, {"verify"}, {"append", "order-7", "--type", "x", "--data", "1"}, {"migrate", "up"}} {
		s.refuses(1, []string{path}, args...)
	}
	s.store = "sqlite:" + t.TempDir()
	s.refuses(1, []string{"not that of a file"}, "info")
}

func TestTheStoreMayBeNamedByTheEnvironment(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", "{}")
	t.Setenv("LEX_EVENTS_STORE", s.store)
	var stdout, stderr bytes.Buffer
	if code := lexevents().Run(t.Context(), []string{"streams"}, nil, &stdout, &stderr); code != 0 {
		t.Fatal(stderr.String())
	}
	has(t, stdout.String(), "order-7")
}

func TestAnUnreachableServerIsNamedWithoutItsPassword(t *testing.T) {
	s := newShell(t)
	s.store = "postgres://somebody:secret@127.0.0.1:1/nothing?connect_timeout=2"
	for _, args := range [][]string{{"info"}, {"append", "order-7", "--type", "x", "--data", "1"}, {"migrate", "up"}} {
		s.refuses(1, []string{"127.0.0.1:1"}, args...)
		if o := s.run(args...); strings.Contains(o.stderr, "secret") {
			t.Errorf("the password is shown: %s", o.stderr)
		}
	}
}

func TestMigrateUpCreatesTheTablesOnce(t *testing.T) {
	s := newShell(t)
	has(t, s.must("migrate", "up"), "applied")
	has(t, s.must("migrate", "up"), "nothing to do")
	for _, m := range objects(t, s.must("migrate", "status", "--json")) {
		if m["applied"] != true {
			t.Errorf("%v is not applied", m)
		}
	}
	s.store = "memory:"
	s.refuses(1, []string{"not supported"}, "migrate", "up")
}
