package main

import (
	"fmt"

	"lexigram.dev/events/aggregate"
)

// category is that of the streams: package-NAME:ARCH.
const category = "package"

// Package is the aggregate: one package of one architecture.
type Package struct {
	aggregate.Root
	State   State
	Version string // what is there; "" where nothing is
	Target  string // what is being unpacked or configured; "" where nothing is under way
}

// Status is what can be seen of a package from outside.
type Status struct {
	State   State  `json:"state"`
	Version string `json:"version,omitempty"`
}

// String gives the status in words.
func (s Status) String() string {
	if s.Version == "" {
		return string(s.State)
	}
	return s.Version + " " + string(s.State)
}

// Status gives the status as it is now.
func (p *Package) Status() Status { return Status{State: p.State, Version: p.Version} }

// Apply implements aggregate.Aggregate.
func (p *Package) Apply(e any) error {
	switch e := e.(type) {
	case Observed:
		p.State, p.Version = e.State, e.Version
	case InstallStarted:
		p.Target = e.Version
		if p.State == Unknown {
			p.State = NotInstalled
		}
	case UpgradeStarted:
		p.Target = e.To
	case StateChanged:
		p.State, p.Version = e.To, e.Version
	case StateConfirmed:
		p.State, p.Version = e.State, e.Version
	case Installed:
		p.State, p.Version, p.Target = IsInstalled, e.Version, ""
	case Removed:
		p.State, p.Version, p.Target = ConfigFiles, e.Version, ""
	case Purged, Disappeared:
		p.State, p.Version, p.Target = NotInstalled, "", ""
	case RemovalStarted, PurgeStarted, ConfigureStarted, TriggersStarted: // say what dpkg does, and change no state
	default:
		return fmt.Errorf("unknown event %T", e)
	}
	return nil
}

// Refusal says why a package did not accept a command.
type Refusal struct{ Reason string }

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) ([]any, error) {
	return nil, &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// begin accepts that dpkg begins something with a version, if the package is in a state that allows it. A package that
// is seen for the first time is taken as the line implies it was.
func (p *Package) begin(what, version string, allowed func(State) bool, implied State, started any) ([]any, error) {
	switch {
	case p.State == Unknown:
		return []any{Observed{State: implied, Version: version}, started}, nil
	case !allowed(p.State):
		return refuse("%s: not possible when %s", what, p.State)
	case version != p.Version:
		return refuse("%s: the log says version %s, but %s is there", what, orNone(version), orNone(p.Version))
	}
	return []any{started}, nil
}

// install accepts the beginning of an installation; before is the version whose configuration files are there.
func (p *Package) install(before, version string) ([]any, error) {
	started := InstallStarted{Version: version, Before: before}
	switch {
	case p.State == Unknown && before == "":
		return []any{started}, nil
	case p.State == Unknown:
		return []any{Observed{State: ConfigFiles, Version: before}, started}, nil
	case p.State != NotInstalled && p.State != ConfigFiles && p.State != HalfInstalled:
		return refuse("install: not possible when %s", p.State)
	case before != "" && before != p.Version:
		return refuse("install: the log says version %s, but %s is there", before, orNone(p.Version))
	}
	return []any{started}, nil
}

// reach accepts a state that dpkg noted, if it leads there from the one before.
func (p *Package) reach(next State, version string) ([]any, error) {
	switch {
	case p.State == Unknown:
		return []any{Observed{State: next, Version: version}}, nil
	case !p.State.leadsTo(next):
		return refuse("status %s: does not follow %s", next, p.State)
	case version != p.Version && version != p.Target && next != NotInstalled:
		return refuse("status %s: the log says version %s, but %s is there", next, orNone(version), orNone(p.Version))
	case next == p.State && version == p.Version:
		return []any{StateConfirmed{State: next, Version: version}}, nil
	}
	switch next {
	case IsInstalled:
		return []any{Installed{Version: version, From: p.State}}, nil
	case ConfigFiles:
		return []any{Removed{Version: version}}, nil
	case NotInstalled:
		return []any{Purged{Version: p.Version}}, nil
	default:
		return []any{StateChanged{From: p.State, To: next, Version: version}}, nil
	}
}

func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}
