package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Report is everything that the program has to say; its JSON form is what --json prints.
type Report struct {
	Log struct {
		Files     []string    `json:"files"`
		Lines     int         `json:"lines"`
		First     time.Time   `json:"first"`
		Last      time.Time   `json:"last"`
		Other     int         `json:"other_lines"`
		Malformed []Malformed `json:"malformed"`
	} `json:"log"`
	Store     store.Description `json:"store"`
	Import    Summary           `json:"import"`
	Events    int               `json:"events"`
	Packages  int               `json:"packages"`
	Installed []Entry           `json:"installed"`
	At        *Moment           `json:"at,omitempty"`
	Timelines []Timeline        `json:"timelines,omitempty"`
	Days      []Day             `json:"days"` // the busiest first
	Proof     Proof             `json:"proof"`
	Dpkg      *Comparison       `json:"dpkg,omitempty"` // nil: the log is not the machine's, or there is no dpkg
}

// Moment is what was installed at a time.
type Moment struct {
	Time      time.Time `json:"time"`
	Installed []Entry   `json:"installed"`
}

// ask answers the questions from the events.
func ask(ctx context.Context, s settings, events *store.Store, registry *schema.Registry, l *Log, in *importer, sum Summary) (*Report, error) {
	r := &Report{Import: sum}
	r.Log.Files, r.Log.Lines, r.Log.First, r.Log.Last = l.Files, l.Lines, l.First, l.Last
	r.Log.Other, r.Log.Malformed = l.Other, append([]Malformed{}, l.Malformed...)
	var err error
	if r.Store, err = events.Describe(ctx); err != nil {
		return nil, err
	}
	now, err := readHistory(ctx, events, registry, time.Time{})
	if err != nil {
		return nil, err
	}
	rebuilt := now.statuses()
	r.Events, r.Packages = now.Events, len(rebuilt)
	r.Installed, r.Days = now.installed(), now.busiest()
	kept, err := in.desk.statuses()
	if err != nil {
		return nil, err
	}
	r.Proof = prove(kept, rebuilt)
	if !s.at.IsZero() {
		then, err := readHistory(ctx, events, registry, s.at)
		if err != nil {
			return nil, err
		}
		r.At = &Moment{Time: s.at, Installed: then.installed()}
	}
	if s.pkg != "" {
		if r.Timelines, err = readTimelines(ctx, events, registry, s.pkg); err != nil {
			return nil, err
		}
	}
	if l.Live {
		dpkg, err := askDpkg(ctx)
		if err != nil {
			return nil, err
		}
		if dpkg != nil {
			c := compare(rebuilt, dpkg, sum.Refused, l.First)
			r.Dpkg = &c
		}
	}
	return r, nil
}

func (r *Report) print(w io.Writer, s settings) error {
	switch {
	case s.json:
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		return out.Encode(r)
	case s.quiet:
		_, err := io.WriteString(w, r.summary()+"\n")
		return err
	default:
		_, err := io.WriteString(w, r.text())
		return err
	}
}
