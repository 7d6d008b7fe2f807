package cli_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lexigram.dev/events/event"
)

// lines makes importable events in a few streams.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"stream":"item-%d","id":"%s","type":"item.counted","occurred_at":"2026-01-02T03:04:05.000006Z",`+
			`"tags":["n:%d"],"metadata":{"actor":"test","custom":{"k":"v"}},"data":{"n": %d}}`+"\n",
			i%7, event.DerivedID(event.ID{1}, fmt.Sprint(i)), i, i)
	}
	return b.String()
}

// recordedAt is what a copy does not keep.
var recordedAt = regexp.MustCompile(`"recorded_at":"[^"]*",?`)

func exported(s *shell) string {
	s.t.Helper()
	return recordedAt.ReplaceAllString(s.must("export"), "")
}

func TestAnExportImportsIntoTheSameLog(t *testing.T) {
	source, copied := newShell(t), newShell(t)
	source.stdin = lines(5000)
	has(t, source.must("import", "-"), "5,000 events appended, 0 already there")
	file := filepath.Join(t.TempDir(), "out.jsonl")
	has(t, source.must("export", file), "exported 5,000 events to "+file)
	has(t, copied.must("import", file), "5,000 events appended")
	want := exported(source)
	if got := exported(copied); got != want {
		t.Error("the copy differs from its source")
	}
	has(t, copied.must("import", file), "0 events appended, 5,000 already there")
	if got := objects(t, copied.must("import", file, "--json"))[0]; got["appended"] != 0.0 || got["present"] != 5000.0 {
		t.Errorf("got %v", got)
	}
	if got := exported(copied); got != want {
		t.Error("importing again changed the log")
	}
	has(t, copied.must("verify"), "ok: 5,000 events in 7 streams")
}

func TestAnImportCompletesWhatIsThereInPart(t *testing.T) {
	s := newShell(t)
	all := strings.SplitAfter(lines(3000), "\n")
	s.stdin = strings.Join(all[:1234], "")
	s.must("import", "-")
	s.stdin = strings.Join(all, "")
	has(t, s.must("import", "-"), "1,766 events appended, 1,234 already there")
	whole := newShell(t)
	whole.stdin = s.stdin
	whole.must("import", "-")
	if exported(s) != exported(whole) {
		t.Error("the log differs from that of an import in one piece")
	}
}

func TestAMalformedLineIsNamedAndWhatStoodBeforeStays(t *testing.T) {
	for line, reason := range map[string]string{
		`{"stream":`:                           "too early",
		`nonsense`:                             "not valid JSON",
		`[]`:                                   "must be a JSON object",
		`{"stream":"a-1","type":"x","data":1}`: `"id" is missing`,
		`{"stream":"a","type":"x","id":"01890000-0000-7000-8000-000000000001","data":1}`:                "category-id",
		`{"stream":"a-1","type":"x","id":"01890000-0000-7000-8000-000000000001","data":1,"colour":"b"}`: "colour",
		`{"stream":"a-1","type":"x","id":"7","data":1}`:                                                 "UUID",
	} {
		s := newShell(t)
		s.stdin = lines(10) + line + "\n" + lines(20)
		s.refuses(1, []string{"line 11", reason, "10 events appended"}, "import", "-")
		has(t, s.must("verify"), "ok: 10 events")
	}
}

func TestAMissingFileIsNamedAndNoStoreIsCreated(t *testing.T) {
	s := newShell(t)
	s.refuses(1, []string{"nowhere.jsonl"}, "import", "nowhere.jsonl")
	s.refuses(1, []string{"folder"}, "import", t.TempDir())
	if _, err := os.Stat(strings.TrimPrefix(s.store, "sqlite:")); err == nil {
		t.Error("a store was created")
	}
	s.append("order-7", "x", "1")
	s.refuses(1, []string{"nowhere"}, "export", filepath.Join(t.TempDir(), "nowhere", "x"))
}

// interrupting gives its lines, then presses Ctrl-C and waits for more.
type interrupting struct {
	lines  io.Reader
	cancel context.CancelFunc
	block  chan struct{}
}

func (r *interrupting) Read(p []byte) (int, error) {
	n, err := r.lines.Read(p)
	if err == io.EOF {
		r.cancel()
		<-r.block
	}
	return n, err
}

func TestCtrlCInAnImportSaysHowFarItGotAndASecondRunCompletesIt(t *testing.T) {
	s := newShell(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := &interrupting{lines: strings.NewReader(lines(2500)), cancel: cancel, block: make(chan struct{})}
	defer close(in.block)
	var stderr strings.Builder
	if code := lexevents().Run(ctx, []string{"import", "-", "--store", s.store}, in, io.Discard, &stderr); code != 1 {
		t.Errorf("exit code %d", code)
	}
	has(t, stderr.String(), "interrupted", "appended", "run it again")
	s.stdin = lines(3000)
	s.must("import", "-")
	has(t, s.must("verify"), "ok: 3,000 events")
}
