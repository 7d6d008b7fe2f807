package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestErrorsEndWithTheirCodes(t *testing.T) {
	s := newShell(t)
	s.refuses(1, []string{"[LEX_ERR_EVT_007: lexevents explain 007]"}, "info")
	o := s.run("info", "--json")
	var f struct {
		Error       string
		Codes, Docs []string
		Exit        int
	}
	if err := json.Unmarshal([]byte(o.stderr), &f); err != nil {
		t.Fatalf("%q: %v", o.stderr, err)
	}
	if f.Exit != 1 || o.code != 1 || !slices.Equal(f.Codes, []string{"LEX_ERR_EVT_007"}) || !slices.Equal(f.Docs, []string{"docs/errors/LEX_ERR_EVT_007.md"}) || !strings.Contains(f.Error, "not found") {
		t.Errorf("got %+v", f)
	}
	s.append("order-7", "order.placed", "{}")
	s.refuses(1, []string{"LEX_ERR_EVT_004"}, "append", "order-7", "--type", "x", "--data", "1", "--expect", "7")
}

func TestExplainPrintsThePageOfACode(t *testing.T) {
	s := newShell(t)
	for _, code := range []string{"LEX_ERR_EVT_004", "004", "4"} {
		has(t, s.must("explain", code), "# LEX_ERR_EVT_004", "## Cause", "## Cure")
	}
	s.refuses(2, []string{"no such code"}, "explain", "999")
}

func TestATypingErrorIsAnsweredWithTheNearestCommand(t *testing.T) {
	s := newShell(t)
	s.refuses(2, []string{"did you mean: projections"}, "projectoins")
	s.refuses(2, []string{"did you mean list?", "status, rebuild"}, "projections", "lits")
}

// completions gives what the shell would offer for the last argument.
func (s *shell) completions(args ...string) []string {
	s.t.Helper()
	lines := strings.Split(strings.TrimSpace(s.run(append([]string{"__complete", "--store", s.store}, args...)...).stdout), "\n")
	return lines[:len(lines)-1] // the last is for the shell's script
}

func TestTheShellCompletesNamesOutOfTheStore(t *testing.T) {
	s := newShell(t)
	for _, stream := range []string{"order-7", "order-71", "customer-1"} {
		s.append(stream, "order.placed", "{}")
	}
	for want, args := range map[string][]string{
		"customer-1 order-7 order-71": {"read", ""},
		"order-7 order-71":            {"read", "order-"},
		"order-71":                    {"append", "order-7"},
		"":                            {"read", "order-7", ""},
		"doctor\tExamine the store and the broker, and say what to mend": {"doc"},
	} {
		if got := strings.Join(s.completions(args...), " "); got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
	if got := s.completions("--store", "s"); !slices.Contains(got, "sqlite:\tsqlite:path/to/events.db") {
		t.Errorf("got %q", got)
	}
	s.store = "sqlite:" + filepath.Join(t.TempDir(), "none.db")
	if got := s.completions("read", ""); len(got) != 0 {
		t.Errorf("out of a store that is not there: %q", got)
	}
}

func TestTheShellCompletesNamesOfWhatWorksOnTheStore(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", `"bad"`)
	svc := newService(t, s)
	var broken atomic.Bool
	broken.Store(true)
	sub := svc.mailer(&broken)
	svc.start(sub.Run)
	svc.wait(sub, 1)
	svc.stop()
	for _, c := range []struct{ args, want []string }{
		{[]string{"subscriptions", "pause", ""}, []string{"mailer"}},
		{[]string{"deadletters", "show", ""}, []string{"subscription/mailer/0000000000000000001"}},
		{[]string{"sagas", "show", ""}, []string{}},
	} {
		if got := s.completions(c.args...); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
	o := s.run("doctor")
	has(t, o.stdout, "dead letters", "1 wait: 1 of subscription/mailer")
}

func TestManWritesAPageForEachCommand(t *testing.T) {
	s := newShell(t)
	folder := filepath.Join(t.TempDir(), "man1")
	s.must("man", folder)
	for _, page := range []string{"lexevents.1", "lexevents-doctor.1", "lexevents-subscriptions-pause.1"} {
		text, err := os.ReadFile(filepath.Join(folder, page))
		if err != nil || !strings.Contains(string(text), ".SH NAME") {
			t.Errorf("%s: %v", page, err)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		has(t, s.must("completion", shell), "__complete")
	}
}
