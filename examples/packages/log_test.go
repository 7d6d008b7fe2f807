package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lexigram.dev/events/event"
)

// write puts a log into a file of a fresh folder, compressed if the name says so, and gives its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	data := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		data = b.Bytes()
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, names ...string) *Log {
	t.Helper()
	l, err := openLog(names)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sampleText is the sample, uncompressed.
func sampleText(t *testing.T) string {
	t.Helper()
	p, err := readPage("sample", bytes.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(p.lines, "\n") + "\n"
}

func ids(l *Log) []event.ID {
	list := make([]event.ID, len(l.Entries))
	for i, o := range l.Entries {
		list[i] = o.at().ID
	}
	return list
}

func TestRotation(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(sampleText(t), "\n")
	whole := open(t, write(t, "dpkg.log", strings.Join(lines, "")))
	oldest := write(t, "dpkg.log.2.gz", strings.Join(lines[:1700], ""))
	older := write(t, "dpkg.log.1", strings.Join(lines[1700:4000], ""))
	newest := write(t, "dpkg.log", strings.Join(lines[4000:], ""))

	rotated := open(t, newest, oldest, older, newest) // in no order, and one twice
	if want := []string{oldest, older, newest}; !reflect.DeepEqual(rotated.Files, want) {
		t.Errorf("files: got %v, want %v", rotated.Files, want)
	}
	if !reflect.DeepEqual(ids(rotated), ids(whole)) {
		t.Error("the ids of a rotated log differ from those of the whole one")
	}
	if got := rotated.Entries[0].at().Source; got != oldest+":2" {
		t.Errorf("source: got %s", got)
	}
	grown := ids(open(t, oldest, older))
	if !reflect.DeepEqual(grown, ids(whole)[:len(grown)]) {
		t.Error("the ids change when the log grows")
	}
}

func TestIDsAreUnique(t *testing.T) {
	t.Parallel()
	const twice = "2025-06-24 14:36:25 status unpacked curl:amd64 1.0\n"
	l := open(t, write(t, "dpkg.log", twice+twice))
	if got := ids(l); len(got) != 2 || got[0] == got[1] {
		t.Errorf("identical lines: got %v", got)
	}
	again := open(t, write(t, "other.log", twice+twice))
	if !reflect.DeepEqual(ids(l), ids(again)) {
		t.Error("the same log in another file has other ids")
	}
}

func TestMalformedLines(t *testing.T) {
	t.Parallel()
	path := write(t, "dpkg.log", "2025-06-24 14:36:25 startup archives unpack\r\n"+
		"\n"+
		"2025-06-24 14:36:25 "+strings.Repeat("x", 100_000)+"\n"+
		"2025-06-24 14:36:25 install curl:amd64 <none> 1.0\n"+
		"2025-06-24 14:36:25 status half-inst")
	l := open(t, path)
	if l.Lines != 5 || l.Other != 1 || len(l.Entries) != 1 || len(l.Malformed) != 3 {
		t.Fatalf("got %+v", l)
	}
	for i, want := range []struct{ source, reason string }{
		{path + ":2", "too short"}, {path + ":3", "longer than"}, {path + ":5", "has no end"},
	} {
		if got := l.Malformed[i]; got.Source != want.source || !strings.Contains(got.Reason, want.reason) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestUnreadableLogs(t *testing.T) {
	t.Parallel()
	cut := write(t, "cut.gz", strings.Repeat("2025-06-24 14:36:25 startup archives unpack\n", 100))
	data, err := os.ReadFile(cut)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, data[:len(data)-6], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{cut, "/no/such/file", t.TempDir()} {
		if _, err := openLog([]string{path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error that names it", path, err)
		}
	}
	if l := open(t, write(t, "empty.log", "")); l.Lines != 0 || len(l.Entries) != 0 {
		t.Errorf("empty log: got %+v", l)
	}
}
