package main

import "slices"

// State is the state of a package, as dpkg names it (man 1 dpkg, "Package states").
type State string

// The states. Unknown is the one before the first line about a package.
const (
	Unknown         State = ""
	NotInstalled    State = "not-installed"
	ConfigFiles     State = "config-files"
	HalfInstalled   State = "half-installed"
	Unpacked        State = "unpacked"
	HalfConfigured  State = "half-configured"
	TriggersAwaited State = "triggers-awaited"
	TriggersPending State = "triggers-pending"
	IsInstalled     State = "installed"
)

// parseState gives the state of that name.
func parseState(name string) (State, bool) {
	s := State(name)
	return s, s != Unknown && s.followers() != nil
}

// followers lists the states that dpkg goes to from s, besides s itself, in the order of its life: unpack, configure,
// remove. Going back (half-installed to installed, say) is how dpkg undoes an unpacking that failed.
func (s State) followers() []State {
	switch s {
	case NotInstalled:
		return []State{HalfInstalled}
	case HalfInstalled:
		return []State{Unpacked, HalfConfigured, IsInstalled, ConfigFiles, NotInstalled}
	case Unpacked:
		return []State{HalfConfigured, HalfInstalled}
	case HalfConfigured:
		return []State{IsInstalled, TriggersAwaited, TriggersPending, Unpacked, HalfInstalled}
	case TriggersAwaited:
		return []State{IsInstalled, TriggersPending, HalfConfigured}
	case TriggersPending:
		return []State{HalfConfigured, TriggersAwaited, IsInstalled}
	case IsInstalled:
		return []State{HalfConfigured, TriggersPending, TriggersAwaited}
	case ConfigFiles:
		return []State{NotInstalled, HalfInstalled}
	}
	return nil
}

// leadsTo reports whether dpkg goes from s to next. It writes a state again when it begins something from it.
func (s State) leadsTo(next State) bool {
	return s == next || slices.Contains(s.followers(), next)
}

// usable reports whether the package's files are there and configured.
func (s State) usable() bool {
	return s == IsInstalled || s == TriggersAwaited || s == TriggersPending
}

// present reports whether there is anything of the package to upgrade or remove.
func (s State) present() bool {
	return s.usable() || s == HalfInstalled || s == Unpacked || s == HalfConfigured
}
