package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"lexigram.dev/events/aggregate"
)

// given makes a package from the events before.
func given(t *testing.T, events ...any) *Package {
	t.Helper()
	p := &Package{}
	if err := aggregate.Replay(p, events...); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPackageAccepts(t *testing.T) {
	t.Parallel()
	in := func(s State) []any { return []any{Observed{State: s, Version: "1"}} }
	for name, c := range map[string]struct {
		given   []any
		command order
		want    []any
	}{
		"a fresh installation": {nil, &Install{Version: "1"}, []any{InstallStarted{Version: "1"}}},
		"an installation over configuration files, seen first": {
			nil, &Install{Before: "0", Version: "1"},
			[]any{Observed{ConfigFiles, "0"}, InstallStarted{Version: "1", Before: "0"}},
		},
		"an installation over configuration files": {
			in(ConfigFiles), &Install{Before: "1", Version: "2"},
			[]any{InstallStarted{Version: "2", Before: "1"}},
		},
		"an upgrade, seen first":   {nil, &Upgrade{From: "1", To: "2"}, []any{Observed{IsInstalled, "1"}, UpgradeStarted{"1", "2"}}},
		"a removal, seen first":    {nil, &Remove{Version: "1"}, []any{Observed{IsInstalled, "1"}, RemovalStarted{"1"}}},
		"a purge, seen first":      {nil, &Purge{Version: "1"}, []any{Observed{ConfigFiles, "1"}, PurgeStarted{"1"}}},
		"configuring, seen first":  {nil, &Configure{Version: "1"}, []any{Observed{Unpacked, "1"}, ConfigureStarted{"1"}}},
		"triggers, seen first":     {nil, &ProcessTriggers{Version: "1"}, []any{Observed{TriggersPending, "1"}, TriggersStarted{"1"}}},
		"a state, seen first":      {nil, &NoteState{State: TriggersPending, Version: "1"}, []any{Observed{TriggersPending, "1"}}},
		"an upgrade":               {in(IsInstalled), &Upgrade{From: "1", To: "2"}, []any{UpgradeStarted{"1", "2"}}},
		"a removal":                {in(TriggersAwaited), &Remove{Version: "1"}, []any{RemovalStarted{"1"}}},
		"a purge":                  {in(ConfigFiles), &Purge{Version: "1"}, []any{PurgeStarted{"1"}}},
		"a disappearance":          {in(IsInstalled), &Disappear{Version: "1"}, []any{Disappeared{"1"}}},
		"configuring":              {in(HalfConfigured), &Configure{Version: "1"}, []any{ConfigureStarted{"1"}}},
		"triggers":                 {in(TriggersAwaited), &ProcessTriggers{Version: "1"}, []any{TriggersStarted{"1"}}},
		"the same state":           {in(IsInstalled), &NoteState{State: IsInstalled, Version: "1"}, []any{StateConfirmed{IsInstalled, "1"}}},
		"the end of an install":    {in(HalfConfigured), &NoteState{State: IsInstalled, Version: "1"}, []any{Installed{"1", HalfConfigured}}},
		"the end of a removal":     {in(HalfInstalled), &NoteState{State: ConfigFiles, Version: "1"}, []any{Removed{"1"}}},
		"the end of a purge":       {in(ConfigFiles), &NoteState{State: NotInstalled}, []any{Purged{"1"}}},
		"the version upgraded to":  {append(in(HalfInstalled), UpgradeStarted{"1", "2"}), &NoteState{State: Unpacked, Version: "2"}, []any{StateChanged{HalfInstalled, Unpacked, "2"}}},
		"the end of disappearance": {append(in(IsInstalled), Disappeared{"1"}), &NoteState{State: NotInstalled}, []any{StateConfirmed{State: NotInstalled}}},
	} {
		got, err := c.command.decide(given(t, c.given...))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestPackageRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state   State
		command order
		want    string
	}{
		"an installation of what is installed":    {IsInstalled, &Install{Version: "1"}, "install: not possible when installed"},
		"an installation over other files":        {ConfigFiles, &Install{Before: "0", Version: "1"}, "says version 0, but 1 is there"},
		"an upgrade of what is not there":         {ConfigFiles, &Upgrade{From: "1", To: "2"}, "upgrade: not possible when config-files"},
		"an upgrade from another version":         {IsInstalled, &Upgrade{From: "0", To: "2"}, "says version 0, but 1 is there"},
		"a removal of what is not there":          {NotInstalled, &Remove{Version: "1"}, "remove: not possible when not-installed"},
		"a purge of what is installed":            {IsInstalled, &Purge{Version: "1"}, "purge: not possible when installed"},
		"configuring what is installed":           {IsInstalled, &Configure{Version: "1"}, "configure: not possible when installed"},
		"triggers that are not pending":           {IsInstalled, &ProcessTriggers{Version: "1"}, "trigproc: not possible when installed"},
		"installed straight after half-installed": {Unpacked, &NoteState{State: IsInstalled, Version: "1"}, "installed: does not follow unpacked"},
		"a state of another version":              {Unpacked, &NoteState{State: HalfConfigured, Version: "2"}, "says version 2, but 1 is there"},
	} {
		_, err := c.command.decide(given(t, Observed{State: c.state, Version: "1"}))
		var refusal *Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	all := []State{NotInstalled, ConfigFiles, HalfInstalled, Unpacked, HalfConfigured, TriggersAwaited, TriggersPending, IsInstalled}
	// One row for each state, one column for each next state, in the order of all.
	for i, row := range []string{
		"x.x.....", // not-installed
		"xxx.....", // config-files
		"xxxxx..x", // half-installed
		"..xxx...", // unpacked
		"..xxxxxx", // half-configured
		"....xxxx", // triggers-awaited
		"....xxxx", // triggers-pending
		"....xxxx", // installed
	} {
		for j, want := range row {
			if got := all[i].leadsTo(all[j]); got != (want == 'x') {
				t.Errorf("%s leads to %s: got %v", all[i], all[j], got)
			}
		}
		if s, ok := parseState(string(all[i])); !ok || s != all[i] {
			t.Errorf("parse %s: got %s, %v", all[i], s, ok)
		}
	}
	if _, ok := parseState(""); ok {
		t.Error("the empty state must not parse")
	}
}

func TestPackageUnknownEvent(t *testing.T) {
	t.Parallel()
	if err := (&Package{}).Apply(42); err == nil || err.Error() != "unknown event int" {
		t.Errorf("got %v", err)
	}
}
