package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/event"
)

// Line is what all commands know of the line they come from.
type Line struct {
	Package string    // NAME:ARCH
	At      time.Time // as written, taken as UTC: the log names no zone
	ID      event.ID  // of the line, and of the event that it leads to
	Run     event.ID  // of the "startup" line that began this run of dpkg; zero where the log begins later
	Place   int       // among all lines of the log
	Ordinal int       // among the lines of its package
	Source  string    // FILE:LINE
	Text    string
}

// errNoPackage: a well-formed line that speaks of no package.
var errNoPackage = errors.New("no package")

// none is how dpkg writes that there is no version.
const none = "<none>"

// parseLine gives the command of a line, or errNoPackage with the time alone, or what is wrong with it.
func parseLine(text string) (order, time.Time, error) {
	fields := strings.Fields(text)
	if len(fields) < 3 {
		return nil, time.Time{}, errors.New("too short: want a date, a time and an action")
	}
	at, err := time.Parse(time.DateTime, fields[0]+" "+fields[1])
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%q is no date and time", fields[0]+" "+fields[1])
	}
	o, err := parseAction(fields[2], fields[3:])
	if o != nil {
		o.at().At, o.at().Text = at, text
	}
	return o, at, err
}

func parseAction(action string, args []string) (order, error) {
	switch want := map[string]int{"startup": 2, "conffile": 2}[action]; {
	case want > 0 && len(args) < want:
		return nil, fmt.Errorf("%s: %d words are missing", action, want-len(args))
	case want > 0:
		return nil, errNoPackage
	case len(args) != 3:
		return nil, fmt.Errorf("%.40q with %d words: not known", action, len(args))
	case action == "status":
		return parseStatus(args)
	}
	name := args[0]
	if err := checkName(name); err != nil {
		return nil, err
	}
	before, after := version(args[1]), version(args[2])
	l := Line{Package: name}
	switch action {
	case "install":
		if after == "" {
			return nil, errors.New("install: no version to install")
		}
		return &Install{Line: l, Before: before, Version: after}, nil
	case "upgrade":
		if before == "" || after == "" {
			return nil, errors.New("upgrade: needs two versions")
		}
		return &Upgrade{Line: l, From: before, To: after}, nil
	}
	if before == "" {
		return nil, fmt.Errorf("%.40s: no version", action)
	}
	switch action {
	case "remove":
		return &Remove{Line: l, Version: before}, nil
	case "purge":
		return &Purge{Line: l, Version: before}, nil
	case "disappear":
		return &Disappear{Line: l, Version: before}, nil
	case "configure":
		return &Configure{Line: l, Version: before}, nil
	case "trigproc":
		return &ProcessTriggers{Line: l, Version: before}, nil
	}
	return nil, fmt.Errorf("unknown action %.40q", action)
}

func parseStatus(args []string) (order, error) {
	state, ok := parseState(args[0])
	if !ok {
		return nil, fmt.Errorf("unknown state %.40q", args[0])
	}
	if err := checkName(args[1]); err != nil {
		return nil, err
	}
	v := version(args[2])
	if v == "" && state != NotInstalled {
		return nil, fmt.Errorf("status %s: no version", state)
	}
	return &NoteState{Line: Line{Package: args[1]}, State: state, Version: v}, nil
}

func version(word string) string {
	if word == none {
		return ""
	}
	return word
}

// maxNameBytes leaves room for the category within the store's limit on stream names.
const maxNameBytes = 200

func checkName(name string) error {
	base, arch, found := strings.Cut(name, ":")
	switch {
	case !found || base == "" || arch == "":
		return fmt.Errorf("%.40q is no NAME:ARCH", name)
	case len(name) > maxNameBytes:
		return fmt.Errorf("name %.40q… of %d bytes: too long", name, len(name))
	}
	if err := event.ValidateName(name); err != nil {
		return fmt.Errorf("name %.40q: %w", name, err)
	}
	return nil
}
