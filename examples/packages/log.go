package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/event"
)

// liveLog is where dpkg writes.
const liveLog = "/var/log/dpkg.log"

// maxLineBytes is far above what dpkg writes. What is longer is malformed.
const maxLineBytes = 4096

//go:embed testdata/dpkg.log.gz
var sample []byte

// Log is the whole of the log, in the order of dates.
type Log struct {
	Files       []string
	Live        bool // the live log is among the files
	Lines       int
	First, Last time.Time
	Entries     []order     // the lines that speak of packages
	Other       int         // well-formed lines that do not
	Malformed   []Malformed // the rest
}

// Malformed is a line that could not be understood.
type Malformed struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// page is one file of the log.
type page struct {
	name        string
	lines       []string
	cut         bool // the last line has no end: it is being written, or was cut off
	first, last time.Time
}

// openLog reads the named files; without names the live log with its rotations, and where there is none the sample.
func openLog(names []string) (*Log, error) {
	if len(names) == 0 {
		names = rotations()
	}
	if len(names) == 0 {
		p, err := readPage("sample dpkg.log.gz", bytes.NewReader(sample))
		if err != nil {
			return nil, err
		}
		return bind([]page{p}), nil
	}
	var pages []page
	var opened []os.FileInfo
	live := false
	liveInfo, _ := os.Stat(liveLog)
	for _, name := range names {
		p, info, err := readFile(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(opened, func(o os.FileInfo) bool { return os.SameFile(o, info) }) {
			continue // named twice
		}
		opened = append(opened, info)
		pages = append(pages, p)
		live = live || liveInfo != nil && os.SameFile(liveInfo, info)
	}
	l := bind(pages)
	l.Live = live
	return l, nil
}

// rotations lists the live log and what logrotate made of older ones: dpkg.log.1, dpkg.log.2.gz, …
func rotations() []string {
	if info, err := os.Stat(liveLog); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	older, _ := filepath.Glob(liveLog + ".[0-9]*") // the pattern is well-formed, which is all that Glob reports
	return append(older, liveLog)
}

func readFile(name string) (page, os.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return page{}, nil, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return page{}, nil, fmt.Errorf("read log: %w", err)
	}
	p, err := readPage(name, f)
	return p, info, err
}

// readPage reads a file, which may be compressed whatever its name is.
func readPage(name string, file io.Reader) (page, error) {
	p := page{name: name}
	in := bufio.NewReader(file)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) { // a short file is a plain one
		z, err := gzip.NewReader(in)
		if err != nil {
			return p, fmt.Errorf("read log %s: %w", name, err)
		}
		in = bufio.NewReader(z)
	}
	for {
		text, whole, err := readLine(in)
		if errors.Is(err, io.EOF) && text == "" {
			return p, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return p, fmt.Errorf("read log %s: %w", name, err)
		}
		p.lines = append(p.lines, text)
		p.cut = !whole
		if _, at, err := parseLine(text); err == nil || errors.Is(err, errNoPackage) {
			if p.first.IsZero() {
				p.first = at
			}
			p.last = at
		}
	}
}

// readLine gives the next line without its end; of one that is too long so much that it is seen to be. Whole says that
// it had an end.
func readLine(in *bufio.Reader) (line string, whole bool, err error) {
	var kept []byte
	for {
		part, err := in.ReadSlice('\n')
		if room := maxLineBytes + 2 - len(kept); room > 0 {
			kept = append(kept, part[:min(len(part), room)]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return strings.TrimRight(string(kept), "\r\n"), err == nil, err
	}
}

// bind puts the pages in the order of their dates, and gives each line its id: from its text and how many times that
// text stood in the log before. So the ids stay the same when the log grows, is rotated or is read again.
func bind(pages []page) *Log {
	slices.SortStableFunc(pages, func(a, b page) int {
		if c := a.first.Compare(b.first); c != 0 {
			return c
		}
		return a.last.Compare(b.last)
	})
	b := binder{log: &Log{}, seen: map[string]int{}, ordinals: map[string]int{}}
	b.namespace = event.DerivedID(event.ID{}, "lexigram.dev/events/examples/packages")
	for _, p := range pages {
		b.log.Files = append(b.log.Files, p.name)
		for i, text := range p.lines {
			b.add(text, fmt.Sprintf("%s:%d", p.name, i+1), p.cut && i == len(p.lines)-1)
		}
	}
	return b.log
}

type binder struct {
	log       *Log
	namespace event.ID
	run       event.ID
	seen      map[string]int // by text
	ordinals  map[string]int // by package
}

func (b *binder) add(text, source string, cut bool) {
	l := b.log
	l.Lines++
	o, at, err := parseLine(text)
	switch {
	case len(text) > maxLineBytes:
		err = fmt.Errorf("longer than %d bytes", maxLineBytes)
	case cut:
		err = errors.New("has no end: still being written, or cut off")
	}
	if err != nil && !errors.Is(err, errNoPackage) {
		l.Malformed = append(l.Malformed, Malformed{Source: source, Reason: err.Error(), Text: fmt.Sprintf("%.120q", text)})
		return
	}
	if l.First.IsZero() {
		l.First = at
	}
	l.Last = at
	b.seen[text]++
	id := event.DerivedID(b.namespace, fmt.Sprintf("%s\n%d", text, b.seen[text]))
	if o == nil {
		l.Other++
		if strings.Contains(text, " startup ") {
			b.run = id
		}
		return
	}
	line := o.at()
	line.ID, line.Run, line.Source = id, b.run, source
	line.Place, line.Ordinal = len(l.Entries), b.ordinals[line.Package]
	b.ordinals[line.Package]++
	l.Entries = append(l.Entries, o)
}
