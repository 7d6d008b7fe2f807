package config

import (
	"fmt"
	"strings"

	"lexigram.dev/events/errcode"
)

// ErrInvalid is the kind of an Error.
var ErrInvalid = errcode.New(errcode.Configuration, "the configuration is not valid")

// ErrDisabled says that enabled is false.
var ErrDisabled = errcode.New(errcode.Disabled, "the configuration says enabled: false")

// Error is all that is wrong with a configuration. It holds no secrets.
type Error struct {
	Faults []Fault // at least one, in the order of files, then variables, then keys
}

// Fault is one thing that is wrong.
type Fault struct {
	Place   string `json:"place,omitempty"`   // "application.yaml:12:5", or a variable; "" where a value was set by code, or is missing
	Key     string `json:"key,omitempty"`     // as it was written; "" for a file as a whole
	Text    string `json:"text"`              // "must be at least 1"
	Nearest string `json:"nearest,omitempty"` // the known name that was meant, perhaps
}

// Error implements error.
func (f Fault) Error() string {
	var b strings.Builder
	for _, part := range []string{f.Place, f.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(f.Text)
	if f.Nearest != "" {
		b.WriteString("; did you mean " + f.Nearest + "?")
	}
	return b.String()
}

// Error lists the faults, one on a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.Error()
	}
	if len(lines) == 1 {
		return "configuration: " + lines[0]
	}
	return fmt.Sprintf("configuration: %d faults:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// ErrorCode implements errcode.Coded.
func (*Error) ErrorCode() errcode.Code { return errcode.Configuration }

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *Error) Unwrap() error { return ErrInvalid }

// faults collects.
type faults []Fault

func (f *faults) add(place, key, format string, args ...any) {
	*f = append(*f, Fault{Place: place, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (f *faults) err() error {
	if len(*f) == 0 {
		return nil
	}
	return &Error{Faults: *f}
}

// nearest gives the name that is most like a wrong one; "" where none is like it.
func nearest(wrong string, names []string) string {
	best, least := "", max(2, len(wrong)/3)+1
	for _, name := range names {
		if d := distance(wrong, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters must be changed, added or left out.
func distance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
