package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func newStore(t *testing.T, url string) *store.Store {
	t.Helper()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	if url != "" {
		var err error
		if s, err = openStore(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// importAll imports a log and proves the result.
func importAll(t *testing.T, s *store.Store, l *Log) Summary {
	t.Helper()
	in, sum, err := importSome(t.Context(), t, s, l, func() {})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := in.desk.statuses()
	if err != nil {
		t.Fatal(err)
	}
	if p := prove(kept, rebuild(t, s)); !p.OK {
		t.Errorf("proof failed: %v", p.Differences)
	}
	return sum
}

func importSome(ctx context.Context, t *testing.T, s *store.Store, l *Log, step func()) (*importer, Summary, error) {
	t.Helper()
	r, err := newRegistry()
	if err != nil {
		t.Fatal(err)
	}
	in, err := newImporter(s, r, l, 32)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := in.run(ctx, step)
	return in, sum, err
}

func rebuild(t *testing.T, s *store.Store) map[string]Status {
	t.Helper()
	r, err := newRegistry()
	if err != nil {
		t.Fatal(err)
	}
	h, err := readHistory(t.Context(), s, r, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return h.statuses()
}

// contents lists what each stream holds, without what depends on when and in which order it was stored.
func contents(t *testing.T, s *store.Store) map[event.StreamID][]string {
	t.Helper()
	all := map[event.StreamID][]string{}
	for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		all[e.Stream] = append(all[e.Stream], fmt.Sprint(e.ID, e.Version, e.Type, string(e.Data), e.OccurredAt))
	}
	return all
}

func head(t *testing.T, s *store.Store) event.Position {
	t.Helper()
	h, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sampleLog is the sample; a part of it where SQLite would take a minute for the whole.
func sampleLog(t *testing.T) *Log {
	t.Helper()
	return open(t, write(t, "dpkg.log.gz", firstLines(t, sampleLines)))
}

// shortLog is a log of one morning, for tests of everything else than its size.
func shortLog(t *testing.T) string {
	t.Helper()
	return write(t, "dpkg.log.gz", firstLines(t, 500))
}

func firstLines(t *testing.T, n int) string {
	t.Helper()
	lines := strings.SplitAfter(sampleText(t), "\n")
	return strings.Join(lines[:min(n, len(lines))], "")
}

func TestImportTwice(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"memory": "", "sqlite": "sqlite:" + filepath.Join(t.TempDir(), "packages.db")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := newStore(t, url), sampleLog(t)
			one := importAll(t, s, l)
			if one.Commands != len(l.Entries) || one.New != one.Commands || one.AlreadyThere != 0 || len(one.Refused) != 0 {
				t.Errorf("first run: got %+v", one)
			}
			before := head(t, s)
			two := importAll(t, s, l)
			if two.New != 0 || two.AlreadyThere != one.New || len(two.Refused) != 0 || head(t, s) != before {
				t.Errorf("second run: got %+v, head %d after %d", two, head(t, s), before)
			}
		})
	}
}

func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	l := sampleLog(t)
	whole, s := newStore(t, ""), newStore(t, "sqlite:"+filepath.Join(t.TempDir(), "packages.db"))
	importAll(t, whole, l)

	ctx, cancel := context.WithCancel(t.Context())
	var steps atomic.Int64
	_, sum, err := importSome(ctx, t, s, l, func() {
		if steps.Add(1) == int64(len(l.Entries)/3) {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || sum.New == 0 || sum.New == len(l.Entries) {
		t.Fatalf("interrupted: got %+v, %v", sum, err)
	}
	rest := importAll(t, s, l)
	if rest.New+rest.AlreadyThere != len(l.Entries) || rest.AlreadyThere < sum.New {
		t.Errorf("completed: got %+v after %d", rest, sum.New)
	}
	if !reflect.DeepEqual(contents(t, s), contents(t, whole)) {
		t.Error("an interrupted and completed import differs from an uninterrupted one")
	}
}

func TestTwoImportersAtOnce(t *testing.T) {
	t.Parallel()
	l := sampleLog(t)
	whole, s := newStore(t, ""), newStore(t, "")
	importAll(t, whole, l)
	done := make(chan error)
	go func() {
		_, _, err := importSome(t.Context(), t, s, l, func() {})
		done <- err
	}()
	importAll(t, s, l)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(contents(t, s), contents(t, whole)) {
		t.Error("two importers at once leave something else than one")
	}
}

func TestGrowingAndRotatedLog(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(sampleText(t), "\n")
	cut := func(from, to int) *Log { return open(t, write(t, "dpkg.log", strings.Join(lines[from:to], ""))) }
	whole, s := newStore(t, ""), newStore(t, "")
	importAll(t, whole, cut(0, len(lines)))
	importAll(t, s, cut(0, 2000))
	importAll(t, s, cut(0, 3500))          // grown
	importAll(t, s, cut(1000, len(lines))) // the oldest part is gone
	if !reflect.DeepEqual(contents(t, s), contents(t, whole)) {
		t.Error("imports of a growing log differ from one of the whole")
	}
	older := importAll(t, s, cut(0, 1000))
	if older.New != 0 || len(older.Refused) != 0 {
		t.Errorf("the oldest part again: got %+v", older)
	}
}

func TestRefusalsAndLateLogs(t *testing.T) {
	t.Parallel()
	const late = "2025-06-24 10:00:00 upgrade curl:amd64 1.0 1.1\n" +
		"2025-06-24 10:00:01 status half-configured curl:amd64 1.0\n" +
		"2025-06-24 10:00:02 status config-files curl:amd64 1.0\n" + // does not follow
		"2025-06-24 10:00:03 status unpacked curl:amd64 1.0\n"
	const early = "2025-06-23 10:00:00 install curl:amd64 <none> 1.0\n"
	s := newStore(t, "")
	for range 2 {
		sum := importAll(t, s, open(t, write(t, "dpkg.log", late)))
		if len(sum.Refused) != 1 || !strings.Contains(sum.Refused[0].Reason, "does not follow") || head(t, s) != 4 {
			t.Fatalf("got %+v, head %d", sum, head(t, s))
		}
	}
	sum := importAll(t, s, open(t, write(t, "dpkg.log", late), write(t, "dpkg.log.1", early)))
	if len(sum.Refused) != 2 || !strings.Contains(sum.Refused[0].Reason, "import older logs first") || head(t, s) != 4 {
		t.Errorf("an older log: got %+v, head %d", sum, head(t, s))
	}
	if got := rebuild(t, s)["curl:amd64"]; got != (Status{State: Unpacked, Version: "1.0"}) {
		t.Errorf("got %v", got)
	}
}

func TestEventsCarryTheLog(t *testing.T) {
	t.Parallel()
	s := newStore(t, "")
	l := open(t, write(t, "dpkg.log", "2025-06-24 09:59:59 startup archives unpack\n2025-06-24 10:00:00 install curl:amd64 <none> 1.0\n"))
	importAll(t, s, l)
	for e, err := range s.ReadStream(t.Context(), store.StreamRead{Stream: "package-curl:amd64"}) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := e.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		line := l.Entries[0].at()
		if e.ID != line.ID || e.Type != "package.install-started" || !e.OccurredAt.Equal(line.At) ||
			m.Actor != "dpkg" || m.CorrelationID != line.Run.String() || m.Custom["line"] != line.Source {
			t.Errorf("got %+v, %+v", e, m)
		}
	}
}

func TestProofFindsDifferences(t *testing.T) {
	t.Parallel()
	p := prove(
		map[string]Status{"a:all": {IsInstalled, "1"}, "b:all": {IsInstalled, "1"}, "c:all": {IsInstalled, "1"}},
		map[string]Status{"a:all": {IsInstalled, "1"}, "b:all": {IsInstalled, "2"}, "d:all": {IsInstalled, "1"}},
	)
	if p.OK || p.Packages != 3 || p.Others != 1 || len(p.Differences) != 2 {
		t.Errorf("got %+v", p)
	}
}

func TestCompareWithDpkg(t *testing.T) {
	t.Parallel()
	dpkg := parseDpkg([]byte("same:all 1 installed\nold:all 1 installed\nnewer:all 2 installed\nodd:all 1 unpacked\nnever:all  not-installed\n"))
	c := compare(map[string]Status{
		"same:all": {IsInstalled, "1"}, "newer:all": {IsInstalled, "1"}, "odd:all": {IsInstalled, "1"},
		"gone:all": {ConfigFiles, "1"}, "purged:all": {NotInstalled, ""},
	}, dpkg, []Refused{{Package: "odd:all"}}, time.Date(2025, 6, 24, 0, 0, 0, 0, time.UTC))
	if c.Same != 3 || len(c.Differences) != 4 {
		t.Fatalf("got %+v", c)
	}
	for i, want := range []string{"dpkg has forgotten it", "without a line in the log", "refused", "before the log begins (2025-06-24 00:00:00)"} {
		if !strings.Contains(c.Differences[i].Reason, want) {
			t.Errorf("%s: got %q, want %q", c.Differences[i].Package, c.Differences[i].Reason, want)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	log := shortLog(t)
	url := "sqlite:" + filepath.Join(t.TempDir(), "new", "folder", "packages.db")
	type want struct {
		code     int
		out, err string
	}
	for _, c := range []struct {
		args []string
		want want
	}{
		{[]string{"--help"}, want{0, "Usage: packages", ""}},
		{[]string{"--nope"}, want{2, "", "flag provided but not defined"}},
		{[]string{"extra"}, want{2, "", `unexpected argument "extra"`}},
		{[]string{"--at", "noon"}, want{2, "", "RFC 3339"}},
		{[]string{"--workers", "0"}, want{2, "", "must be 1 to 1024"}},
		{[]string{"--log", ""}, want{2, "", "empty"}},
		{[]string{"--json", "--quiet"}, want{2, "", "exclude"}},
		{[]string{"--log", "/no/such/log"}, want{1, "", "/no/such/log"}},
		{[]string{"--log", log, "--store", "paper:"}, want{1, "", `unknown backend "paper"`}},
		{[]string{"--log", log, "--store", url}, want{0, "stored now, 0 already there, 0 refused", ""}},
		{[]string{"--log", log, "--store", url, "--quiet"}, want{0, "proof ok", ""}},
		{[]string{"--log", log, "--store", url, "--package", "libc-bin", "--at", "2025-06-24"}, want{0, "History of libc-bin:amd64", ""}},
		{[]string{"--log", log, "--store", url, "--package", "nothing"}, want{1, "", `package "nothing"`}},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), c.args, &stdout, &stderr)
		if code != c.want.code || !strings.Contains(stdout.String(), c.want.out) || !strings.Contains(stderr.String(), c.want.err) ||
			strings.Count(stderr.String(), "\n") > 1 {
			t.Errorf("%v: got %d\n%s%s", c.args, code, stdout.String(), stderr.String())
		}
	}
}

func TestRunJSON(t *testing.T) {
	t.Parallel()
	log := write(t, "dpkg.log.gz", sampleText(t))
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--log", log, "--store", "memory:", "--json", "--at", "2025-06-24 14:40:00", "--package", "libc-bin:amd64"}, &stdout, &stderr); code != 0 {
		t.Fatalf("got %d: %s", code, stderr.String())
	}
	var r Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Proof.OK || len(r.Installed) == 0 || r.At == nil || len(r.At.Installed) >= len(r.Installed) || len(r.Timelines) != 1 ||
		len(r.Days) != 5 || r.Dpkg != nil {
		t.Errorf("got proof %+v, %d installed, %d timelines, %d days", r.Proof, len(r.Installed), len(r.Timelines), len(r.Days))
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"--log", shortLog(t), "--store", "memory:"}, &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "interrupted") || stdout.Len() > 0 {
		t.Errorf("got %d: %s%s", code, stdout.String(), stderr.String())
	}
}
