// Package docstest holds the tests of the documentation: every Go snippet compiles and does what the page says, every
// command line names commands and flags that there are, every name of ours is exported, and every link leads somewhere.
//
// A Go snippet is either a whole program, which is run and must print the text block that follows it, or an excerpt, whose
// info string names its file: "```go saga/example_test.go". The lines of an excerpt stand in that file, so they are
// compiled and run with it; a line "…" stands for lines left out.
package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page is a file of the documentation.
type page struct {
	path   string // from the repository's root
	text   string // without its blocks
	blocks []block
}

// block is a fenced block of a page.
type block struct {
	line     int // of its first line
	language string
	source   string // what follows the language in the info string
	text     string
	next     *block // the block that follows, where no more than a line of words is between; or nil
}

const root = "../.."

// pages gives README, CHANGELOG and all of docs/ and of the examples.
func pages(t *testing.T) []page {
	t.Helper()
	var found []page
	for _, top := range []string{"README.md", "docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			found = append(found, parse(name, string(raw)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func parse(path, raw string) page {
	p := page{path: path}
	var (
		words  strings.Builder
		open   *block
		indent string
	)
	lastEnd := -10
	for i, line := range strings.Split(raw, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		fence := strings.HasPrefix(trimmed, "```")
		switch {
		case fence && open == nil:
			indent = line[:len(line)-len(trimmed)]
			language, source, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(trimmed, "```")), " ")
			p.blocks = append(p.blocks, block{line: i + 2, language: language, source: source})
			open = &p.blocks[len(p.blocks)-1]
			if i-lastEnd <= 4 {
				open.next = open // mended below: p.blocks may still move
			}
		case fence:
			open, lastEnd = nil, i
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		default:
			words.WriteString(line + "\n")
		}
	}
	for i := range p.blocks {
		follows := p.blocks[i].next != nil
		p.blocks[i].next = nil
		if follows && i > 0 {
			p.blocks[i-1].next = &p.blocks[i]
		}
	}
	p.text = words.String()
	return p
}
