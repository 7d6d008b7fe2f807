package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copies gives a store with some events, and the URL of one that is not there yet.
func copies(t *testing.T) (s *shell, target string) {
	t.Helper()
	s = newShell(t)
	s.stdin = lines(3000)
	s.must("import", "-")
	return s, "sqlite:" + filepath.Join(t.TempDir(), "copy.db")
}

func TestACopyIsTheSameAndGoesOnWhereItWas(t *testing.T) {
	s, target := copies(t)
	has(t, s.must("copy", "--to", target, "--verify"), "copied 3,000 events (", "up to position 3,000", "events/s", "the same: 3,000 events in 7 streams up to position 3,000, sha256 ")
	s.append("item-1", "item.counted", `{"n":1}`)
	has(t, s.must("copy", "--from", s.store, "--to", target), "copied 1 event (", "3,000 were there")
	got := objects(t, s.must("copy", "--to", target, "--verify", "--json"))[0]
	compared, _ := got["compared"].(map[string]any)
	if got["events"] != 0.0 || got["position"] != 3001.0 || compared["position"] != 3001.0 {
		t.Errorf("got %v", got)
	}
	has(t, s.must("compare", "--to", target, "--records"), "the same: 3,001 events", "0 records")
	if c := objects(t, s.must("compare", "--to", target, "--json"))[0]; c["more_differences"] != 0.0 {
		t.Errorf("got %v", c)
	}
	copied := *s
	copied.store = target
	if copied.must("export") != s.must("export") {
		t.Error("the export of the copy differs, in the time of recording at least")
	}
}

func TestADryRunOfACopyWritesNothing(t *testing.T) {
	s, target := copies(t)
	has(t, s.must("copy", "--to", target, "--dry-run"), "would create the target, copy 3,000 events (", "after position 0, up to 3,000; nothing was written")
	if _, err := os.Stat(strings.TrimPrefix(target, "sqlite:")); !os.IsNotExist(err) {
		t.Errorf("the dry run has made the target: %v", err)
	}
	s.must("copy", "--to", target)
	has(t, s.must("copy", "--to", target, "--dry-run", "--records"), "would copy 0 events", "set or remove 0 records")
	if p := objects(t, s.must("copy", "--to", target, "--dry-run", "--json"))[0]; p["position"] != 3000.0 || p["events"] != 0.0 {
		t.Errorf("got %v", p)
	}
}

func TestACopyThatCannotBeMadeIsRefused(t *testing.T) {
	s, target := copies(t)
	other := newShell(t)
	other.append("item-1", "x", `{}`)
	s.refuses(2, []string{"--from URL --to URL"}, "copy")
	s.refuses(2, []string{"same store"}, "copy", "--to", s.store)
	s.refuses(2, []string{"unknown backend", "linked backends"}, "copy", "--to", "nonsense:x")
	s.refuses(2, []string{"--dry-run", "--follow"}, "copy", "--to", target, "--dry-run", "--follow")
	s.refuses(2, []string{"--max-differences"}, "compare", "--to", target, "--max-differences", "-1")
	s.refuses(1, []string{"--from", "not found"}, "copy", "--from", "sqlite:/nowhere/a.db", "--to", target)
	s.refuses(1, []string{"--to", "not found"}, "compare", "--to", target)
	s.refuses(1, []string{"position 1", "id", "the source has"}, "copy", "--to", other.store)
	s.must("copy", "--to", target)
	s.append("item-1", "x", `{}`)
	o := s.run("compare", "--to", target)
	if o.code != 1 || !strings.Contains(o.stdout, "position 3001, stream item-1, event: the source has version 430, x") || !strings.Contains(o.stderr, "differences among") {
		t.Errorf("got %+v", o)
	}
}

// watched is a stream of errors that tells when a line of it was written.
type watched struct {
	bytes.Buffer
	word string
	seen chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if w.seen != nil && strings.Contains(w.String(), w.word) {
		close(w.seen)
		w.seen = nil
	}
	return n, err
}

func TestCtrlCSwitchesAFollowingCopyOver(t *testing.T) {
	s, target := copies(t)
	ctx, interrupt := context.WithCancel(t.Context())
	seen := make(chan struct{})
	stderr := &watched{word: "Ctrl-C switches over", seen: seen}
	var stdout bytes.Buffer
	code := make(chan int)
	go func() {
		code <- lexevents().Run(ctx, []string{"copy", "--from", s.store, "--to", target, "--follow", "--records", "--verify"}, strings.NewReader(""), &stdout, io.Writer(stderr))
	}()
	<-seen
	s.append("item-1", "item.counted", `{"n":1}`)
	s.append("item-2", "item.counted", `{"n":1}`)
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d: %s", got, stderr)
	}
	has(t, stdout.String(), "copied 3,002 events", "the same: 3,002 events")
}

func TestCtrlCEndsACopyThatIsNotThereYet(t *testing.T) {
	s, target := copies(t)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	o := s.runContext(ctx, "copy", "--to", target)
	if o.code != 1 || o.stdout != "" {
		t.Errorf("got %+v", o)
	}
	has(t, s.must("copy", "--to", target, "--verify"), "the same: 3,000 events")
}
