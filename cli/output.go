package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
)

// printJSON prints a value on one line.
func (a *app) printJSON(value any) error { return printJSONTo(a.stdout, value) }

func printJSONTo(w io.Writer, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

func (a *app) printLine(line []byte) error {
	_, err := a.stdout.Write(append(line, '\n'))
	return err
}

// printEvent prints an event in the form of export.
func (a *app) printEvent(e *event.Recorded) error { return a.printLine(admin.AppendLine(nil, e)) }

// table aligns columns. It prints every so many rows, so that a long list begins at once and takes little memory.
type table struct {
	w    *tabwriter.Writer
	rows int
}

const tablePage = 200

func newTable(w io.Writer, header ...string) *table {
	t := &table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.w, strings.Join(header, "\t"))
	return t
}

func (t *table) row(cells ...any) error {
	for i, cell := range cells {
		if i > 0 {
			fmt.Fprint(t.w, "\t")
		}
		fmt.Fprint(t.w, cell)
	}
	fmt.Fprintln(t.w)
	if t.rows++; t.rows%tablePage == 0 {
		return t.w.Flush()
	}
	return nil
}

func (t *table) end() error { return t.w.Flush() }

// fields prints names and values under each other.
func fields(w io.Writer, pairs ...any) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(t, "%v\t%v\n", pairs[i], pairs[i+1])
	}
	return t.Flush()
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// maxDataRunes is how much of an event's data a table shows; --json shows all of it.
const maxDataRunes = 100

// summary shows data on one line, without what could disturb a terminal.
func summary(e *event.Recorded) string {
	text := string(e.Data)
	var compact bytes.Buffer
	switch {
	case e.IsTombstone():
		return "(the stream was deleted here)"
	case len(e.Data) == 0:
		return ""
	case json.Compact(&compact, e.Data) == nil:
		text = compact.String()
	case !utf8.Valid(e.Data):
		return fmt.Sprintf("(%d bytes of %s)", len(e.Data), e.ContentType)
	}
	return short(text)
}

// short shows a text on one line, cut where it is long.
func short(text string) string {
	text = strings.ReplaceAll(printable(text), "\n", "; ")
	if runes := []rune(text); len(runes) > maxDataRunes {
		return string(runes[:maxDataRunes]) + "…"
	}
	return text
}

// printable replaces what could disturb a terminal; lines stay lines.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return '·'
		}
		return r
	}, text)
}

// count writes a number with commas between thousands.
func count[N ~int | ~int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes a number and its noun.
func plural[N ~int | ~int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}
