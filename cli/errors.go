package cli

import (
	"fmt"
	"io"
	"strings"

	"lexigram.dev/events/errcode"
)

// failure is an error as --json prints it.
type failure struct {
	Error string         `json:"error"`
	Codes []errcode.Code `json:"codes,omitempty"` // the outermost first
	Docs  []string       `json:"docs,omitempty"`  // their pages in the repository
	Exit  int            `json:"exit"`
}

// complain prints an error on one line, with its codes behind it: for people, or as JSON. before and behind are put around
// the text for people.
func (a *app) complain(w io.Writer, err error, exit int, before, behind string) int {
	text, codes := oneLine(err), errcode.All(err)
	if a.json {
		f := failure{Error: text, Codes: codes, Exit: exit}
		for _, c := range codes {
			f.Docs = append(f.Docs, c.Page())
		}
		if printJSONTo(w, f) == nil {
			return exit
		}
	}
	if len(codes) > 0 {
		names := make([]string, len(codes))
		for i, c := range codes {
			names[i] = string(c)
		}
		behind += fmt.Sprintf(" [%s: lexevents explain %s]", strings.Join(names, ", "), codes[0].Number())
	}
	fmt.Fprintln(w, before+text+behind)
	return exit
}
