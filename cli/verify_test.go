package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damage overwrites bytes of the store's file, as a failing disk would.
func damage(t *testing.T, s *shell, old, damaged string) {
	t.Helper()
	path := strings.TrimPrefix(s.store, "sqlite:")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(content, []byte(old)); n != 1 || len(old) != len(damaged) {
		t.Fatalf("%q is %d times in the file", old, n)
	}
	if err := os.WriteFile(path, bytes.Replace(content, []byte(old), []byte(damaged), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyListsTheDamageOfAFileAndExitsWithOne(t *testing.T) {
	for old, c := range map[string]struct {
		damaged string
		words   []string
	}{
		`{"n": 3}`:       {`{"n": 3]`, []string{"position 4", "item-3", "JSON"}},
		`"actor":"me-5"`: {`"actor":"me-5'`, []string{"position 6", "item-5", "metadata"}},
	} {
		s := newShell(t)
		s.stdin = strings.Replace(lines(20), `"actor":"test","custom":{"k":"v"}},"data":{"n": 5}`, `"actor":"me-5"},"data":{"n": 5}`, 1)
		s.must("import", "-")
		damage(t, s, old, c.damaged)
		o := s.run("verify")
		if o.code != 1 {
			t.Errorf("%s: exit code %d: %s%s", c.damaged, o.code, o.stdout, o.stderr)
		}
		has(t, o.stdout+o.stderr, c.words...)
		if got := objects(t, s.run("verify", "--json").stdout)[0]; got["ok"] != false || len(got["faults"].([]any)) != 1 {
			t.Errorf("%s: got %v", c.damaged, got)
		}
	}
}

func TestBenchGivesTheFiguresOfTheContract(t *testing.T) {
	s := newShell(t)
	got := objects(t, s.must("bench", "append", "--writers", "4", "--duration", "100ms", "--json"))[0]
	for _, name := range []string{
		"events_per_s", "appends_per_s", "p50_ms", "p99_ms", "raw_insert_events_per_s", "raw_bulk_events_per_s", "ratio_to_insert", "ratio_to_bulk",
	} {
		if f, ok := got[name].(float64); !ok || f <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if len(got) != 8 {
		t.Errorf("got %v", got)
	}
	got = objects(t, s.must("bench", "read", "--events", "20000", "--json"))[0]
	if got["events"].(float64) < 20000 || got["events_per_s"].(float64) <= 0 || got["ratio"].(float64) <= 0 || len(got) != 5 {
		t.Errorf("got %v", got)
	}
	got = objects(t, s.must("bench", "subscribe", "--events", "20000", "--samples", "20", "--duration", "100ms", "--json"))[0]
	for _, name := range []string{
		"catch_up_events_per_s", "raw_read_events_per_s", "ratio", "latency_p50_ms", "latency_p99_ms", "append_ratio_listening", "append_ratio_handling",
	} {
		if f, ok := got[name].(float64); !ok || f <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	got = objects(t, s.must("bench", "project", "--events", "20000", "--json"))[0]
	if got["events"].(float64) < 20000 || got["documents"].(float64) <= 0 || got["events_per_s"].(float64) <= 0 || got["ratio"].(float64) <= 0 {
		t.Errorf("got %v", got)
	}
	has(t, s.must("bench", "project", "--events", "20000"), "documents", "raw read")
	has(t, s.must("subscriptions", "list")+s.must("projections", "list"), "no subscription has ever run", "no projection has ever run") // nothing is left
	has(t, s.must("bench", "append", "--writers", "2", "--duration", "50ms"), "events/s", "p99", "raw bulk")
	has(t, s.must("verify"), "ok")
	if left, err := filepath.Glob(strings.TrimPrefix(s.store, "sqlite:") + ".bench*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s.append("order-7", "order.placed", "{}")
	s.refuses(1, []string{"order-7", "scratch"}, "bench", "append", "--duration", "50ms")
	s.store = "memory:"
	if got := objects(t, s.must("bench", "append", "--duration", "50ms", "--json"))[0]; len(got) != 4 {
		t.Errorf("memory has no baseline, but got %v", got)
	}
}
