package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	parser "github.com/netresearch/go-cron"

	"lexigram.dev/events/schedule"
)

// Parse reads a cron expression for a time zone, for schedule.Options.Cron. An error names the field that is wrong, and
// where it begins.
func Parse(expression, zone string) (schedule.Recurrence, error) {
	location, err := load(zone)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", expression, err)
	}
	spec, err := parse(expression)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", expression, err)
	}
	if every, ok := spec.(parser.ConstantDelaySchedule); ok {
		return every, nil
	}
	return &recurrence{spec: spec, zone: location, hourly: hourly(expression)}, nil
}

// load gives a zone that means the same everywhere.
func load(zone string) (*time.Location, error) {
	switch zone {
	case "":
		return nil, errors.New(`the time zone is missing: name one, such as "UTC" or "Europe/Berlin"`)
	case "Local":
		return nil, errors.New(`time zone "Local": differs from one computer to the next: name one, such as "UTC" or "Europe/Berlin"`)
	}
	return time.LoadLocation(zone)
}

// syntax is what the parser accepts.
const syntax = parser.Minute | parser.Hour | parser.Dom | parser.Month | parser.Dow | parser.Descriptor | parser.DowOrDom

func parse(expression string) (parser.Schedule, error) {
	p, err := parser.TryNewParser(syntax)
	if err != nil {
		return nil, err
	}
	words, fields := strings.Fields(expression), [...]string{"minute", "hour", "day of month", "month", "day of week"}
	switch {
	case len(words) == 0:
		return nil, errors.New("it is empty")
	case strings.HasPrefix(words[0], "@"):
		return p.Parse(strings.Join(words, " "))
	case strings.Contains(words[0], "="):
		return nil, fmt.Errorf("%q at position 1: the time zone is given apart from the expression", words[0])
	case len(words) != len(fields):
		return nil, fmt.Errorf("it has %d fields, need 5: minute, hour, day of month, month, day of week", len(words))
	}
	for i, word := range words {
		if err := check(p, i, word); err != nil {
			return nil, fmt.Errorf("%s at position %d: %w", fields[i], position(expression, i), err)
		}
	}
	return p.Parse(strings.Join(words, " "))
}

// check parses one field alone.
func check(p parser.Parser, i int, word string) error {
	for _, part := range strings.Split(word, ",") {
		if part == "" {
			return fmt.Errorf("%q: an entry of the list is empty", word)
		}
	}
	alone := []string{"*", "*", "*", "*", "*"}
	alone[i] = word
	_, err := p.Parse(strings.Join(alone, " "))
	return err
}

// position is the byte at which a field begins, from 1.
func position(expression string, field int) int {
	at := 0
	for i := 0; ; i++ {
		at += len(expression[at:]) - len(strings.TrimLeft(expression[at:], " \t\r\n\v\f"))
		if i == field {
			return at + 1
		}
		at += strings.IndexAny(expression[at:], " \t\r\n\v\f")
	}
}

// hourly reports whether the hours of an expression are all, or every so many: then it follows the clock through both passes
// of an hour that is repeated.
func hourly(expression string) bool {
	words := strings.Fields(expression)
	return words[0] == "@hourly" || words[0][0] != '@' && strings.HasPrefix(words[1], "*")
}
