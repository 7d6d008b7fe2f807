package cli_test

import (
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// damage runs SQL on the file behind the store's back.
func damage(t *testing.T, s *shell, sql string) {
	t.Helper()
	c, err := sqlite.OpenConn(strings.TrimPrefix(s.store, "sqlite:"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyListsTheDamageOfAFileAndExitsWithOne(t *testing.T) {
	for sql, words := range map[string][]string{
		`delete from events where position = 5`:                 {"position 5"},
		`update events set version = 99 where position = 10`:    {"position 10", "version 99", "item-2"},
		`update events set data = x'7b' where position = 3`:     {"position 3", "item-2", "JSON"},
		`update events set metadata = x'7b' where position = 4`: {"position 4", "item-3", "metadata"},
	} {
		s := newShell(t)
		s.stdin = lines(20)
		s.must("import", "-")
		damage(t, s, sql)
		o := s.run("verify")
		if o.code != 1 {
			t.Errorf("%s: exit code %d: %s%s", sql, o.code, o.stdout, o.stderr)
		}
		has(t, o.stdout+o.stderr, words...)
		if got := objects(t, s.run("verify", "--json").stdout)[0]; got["ok"] != false || len(got["faults"].([]any)) == 0 {
			t.Errorf("%s: got %v", sql, got)
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
	if got["events"].(float64) < 20000 || got["events_per_s"].(float64) <= 0 || got["ratio_to_read"].(float64) <= 0 || len(got) != 5 {
		t.Errorf("got %v", got)
	}
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
