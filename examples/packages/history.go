package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// history is what the events of all packages tell: one pass over the log, folded.
type history struct {
	Events   int
	packages map[string]*Package
	since    map[string]time.Time // when each usable package was installed in its version
	days     map[string]*Day
}

// Day is what happened on one day.
type Day struct {
	Date     string `json:"date"`
	Events   int    `json:"events"`
	Installs int    `json:"installs"` // begun, as are the others
	Upgrades int    `json:"upgrades"`
	Removals int    `json:"removals"`
}

// Entry is a package that is installed.
type Entry struct {
	Package string    `json:"package"`
	Version string    `json:"version"`
	State   State     `json:"state"`
	Since   time.Time `json:"since"` // when it was installed, or first seen
}

// readHistory folds the events that occurred up to a time; the zero time means all.
func readHistory(ctx context.Context, s *store.Store, r *schema.Registry, until time.Time) (*history, error) {
	h := &history{packages: map[string]*Package{}, since: map[string]time.Time{}, days: map[string]*Day{}}
	for stored, err := range s.ReadLog(ctx, store.LogRead{Filter: store.Filter{Categories: []string{category}}}) {
		if err != nil {
			return nil, err
		}
		if !until.IsZero() && stored.OccurredAt.After(until) {
			continue
		}
		e, err := r.Decode(&stored)
		if err != nil {
			return nil, err
		}
		if err := h.add(&stored, e); err != nil {
			return nil, fmt.Errorf("fold event %d of %s: %w", stored.Version, stored.Stream, err)
		}
	}
	return h, nil
}

func (h *history) add(stored *event.Recorded, e any) error {
	name := stored.Stream.Key()
	p := h.packages[name]
	if p == nil {
		p = &Package{}
		h.packages[name] = p
	}
	before := p.Status()
	if err := aggregate.Replay(p, e); err != nil {
		return err
	}
	if p.State.usable() && (!before.State.usable() || before.Version != p.Version) {
		h.since[name] = stored.OccurredAt
	}
	h.Events++
	date := stored.OccurredAt.Format(time.DateOnly)
	d := h.days[date]
	if d == nil {
		d = &Day{Date: date}
		h.days[date] = d
	}
	d.Events++
	switch e.(type) {
	case InstallStarted:
		d.Installs++
	case UpgradeStarted:
		d.Upgrades++
	case RemovalStarted:
		d.Removals++
	}
	return nil
}

// statuses gives the state of each package.
func (h *history) statuses() map[string]Status {
	all := make(map[string]Status, len(h.packages))
	for name, p := range h.packages {
		all[name] = p.Status()
	}
	return all
}

// installed lists the packages that are installed, the latest first.
func (h *history) installed() []Entry {
	list := []Entry{}
	for name, p := range h.packages {
		if p.State.usable() {
			list = append(list, Entry{Package: name, Version: p.Version, State: p.State, Since: h.since[name]})
		}
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(b.Since.Compare(a.Since), strings.Compare(a.Package, b.Package))
	})
	return list
}

// busiest lists the days, those with the most events first.
func (h *history) busiest() []Day {
	list := make([]Day, 0, len(h.days))
	for _, d := range h.days {
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Day) int {
		return cmp.Or(b.Events-a.Events, strings.Compare(a.Date, b.Date))
	})
	return list
}

// Step is one event in the history of a package.
type Step struct {
	Version  event.Version  `json:"version"`
	Position event.Position `json:"position"`
	At       time.Time      `json:"at"`
	Type     string         `json:"type"`
	Tells    string         `json:"tells"`
	Status   Status         `json:"status"` // after it
}

// Timeline is the history of one package.
type Timeline struct {
	Package string `json:"package"`
	Steps   []Step `json:"steps"`
}

// readTimelines gives the history of the package of that name, in each architecture unless the name says which.
func readTimelines(ctx context.Context, s *store.Store, r *schema.Registry, name string) ([]Timeline, error) {
	var list []Timeline
	for info, err := range s.Streams(ctx, store.StreamsRead{Category: category}) {
		if err != nil {
			return nil, err
		}
		base, _, _ := strings.Cut(info.Stream.Key(), ":")
		if info.Stream.Key() != name && base != name {
			continue
		}
		t, err := readTimeline(ctx, s, r, info.Stream)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("package %q: there are no events of it", name)
	}
	return list, nil
}

func readTimeline(ctx context.Context, s *store.Store, r *schema.Registry, stream event.StreamID) (Timeline, error) {
	t := Timeline{Package: stream.Key()}
	p := &Package{}
	for stored, err := range s.ReadStream(ctx, store.StreamRead{Stream: stream}) {
		if err != nil {
			return t, err
		}
		e, err := r.Decode(&stored)
		if err != nil {
			return t, err
		}
		if err := aggregate.Replay(p, e); err != nil {
			return t, err
		}
		t.Steps = append(t.Steps, Step{
			Version: stored.Version, Position: stored.Position, At: stored.OccurredAt,
			Type: stored.Type, Tells: tell(e), Status: p.Status(),
		})
	}
	return t, nil
}

// tell says in a few words what an event adds to its type.
func tell(e any) string {
	switch e := e.(type) {
	case Observed:
		return "found as " + Status(e).String()
	case InstallStarted:
		return e.Version
	case UpgradeStarted:
		return e.From + " → " + e.To
	case StateChanged:
		return string(e.From) + " → " + string(e.To)
	case StateConfirmed:
		return string(e.State)
	case RemovalStarted:
		return e.Version
	case Installed:
		return e.Version
	case Removed:
		return e.Version + ", configuration files stay"
	}
	return ""
}
