package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

const (
	handledLedger   = "handled"
	confirmedLedger = "confirmed"
)

// ledger is a file to which processes append a line for each message. A line is one write, so lines stand in the order in
// which the messages were handled, over all processes, and outlive kill -9.
type ledger struct{ file *os.File }

func openLedger(folder, name string) (*ledger, error) {
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &ledger{file: f}, nil
}

func (l *ledger) note(key string, n int, poisoned bool) error {
	_, err := l.file.Write(appendLine(nil, key, n, poisoned))
	return err
}

func appendLine(text []byte, key string, n int, poisoned bool) []byte {
	return fmt.Appendf(text, "%s %d %t\n", key, n, poisoned)
}

// follower reads a ledger while it grows, and checks the order of each key: a message comes for the first time only after
// its predecessor. Numbers begin with 1.
type follower struct {
	name     string
	file     *os.File
	rest     []byte         // a line that is not whole yet
	highest  map[string]int // by key
	poisoned map[string]map[int]bool
	lines    int
	distinct int
}

func follow(folder, name string) (*follower, error) {
	l, err := openLedger(folder, name) // it may not be there yet
	if err != nil {
		return nil, err
	}
	if err := l.file.Close(); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return nil, err
	}
	return &follower{name: name, file: f, highest: map[string]int{}, poisoned: map[string]map[int]bool{}}, nil
}

// read reads what has come.
func (f *follower) read() error {
	buf := make([]byte, 256<<10)
	for {
		n, err := f.file.Read(buf)
		if n == 0 || err != nil {
			return nil //nolint:nilerr // the end, for now
		}
		f.rest = append(f.rest, buf[:n]...)
		for {
			line, after, whole := bytes.Cut(f.rest, []byte("\n"))
			if !whole {
				break
			}
			if err := f.line(string(line)); err != nil {
				return err
			}
			f.rest = after
		}
		f.rest = bytes.Clone(f.rest)
	}
}

func (f *follower) line(text string) error {
	var (
		key      string
		n        int
		poisoned bool
	)
	if _, err := fmt.Sscanf(text, "%s %d %t", &key, &n, &poisoned); err != nil {
		return fmt.Errorf("%s: line %q: %w", f.name, text, err)
	}
	f.lines++
	if poisoned {
		if f.poisoned[key] == nil {
			f.poisoned[key] = map[int]bool{}
		}
		f.poisoned[key][n] = true
	}
	highest := f.highest[key]
	if n > highest+1 {
		return fmt.Errorf("%s: line %d: message %d of key %s after message %d: those between were skipped, or come late", f.name, f.lines, n, key, highest)
	}
	if n == highest+1 {
		f.highest[key] = n
		f.distinct++
	}
	return nil
}

// count gives how many messages are poisoned.
func (f *follower) countPoisoned() (n int) {
	for _, numbers := range f.poisoned {
		n += len(numbers)
	}
	return n
}
