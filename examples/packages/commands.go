package main

// The commands: one type for each kind of line that speaks of a package. Before and Version are "" for <none>.
type (
	// Install is "install NAME <none>|BEFORE VERSION".
	Install struct {
		Line
		Before, Version string
	}
	// Upgrade is "upgrade NAME FROM TO".
	Upgrade struct {
		Line
		From, To string
	}
	// Remove is "remove NAME VERSION <none>".
	Remove struct {
		Line
		Version string
	}
	// Purge is "purge NAME VERSION <none>".
	Purge struct {
		Line
		Version string
	}
	// Disappear is "disappear NAME VERSION <none>".
	Disappear struct {
		Line
		Version string
	}
	// Configure is "configure NAME VERSION <none>".
	Configure struct {
		Line
		Version string
	}
	// ProcessTriggers is "trigproc NAME VERSION <none>".
	ProcessTriggers struct {
		Line
		Version string
	}
	// NoteState is "status STATE NAME VERSION".
	NoteState struct {
		Line
		State   State
		Version string
	}
)

// order is a command to a package.
type order interface {
	at() *Line
	decide(p *Package) ([]any, error)
}

func (l *Line) at() *Line { return l }

func (c *Install) decide(p *Package) ([]any, error) { return p.install(c.Before, c.Version) }

func (c *Upgrade) decide(p *Package) ([]any, error) {
	return p.begin("upgrade", c.From, State.present, IsInstalled, UpgradeStarted{From: c.From, To: c.To})
}

func (c *Remove) decide(p *Package) ([]any, error) {
	return p.begin("remove", c.Version, State.present, IsInstalled, RemovalStarted{Version: c.Version})
}

func (c *Purge) decide(p *Package) ([]any, error) {
	leftover := func(s State) bool { return s == ConfigFiles || s == HalfInstalled }
	return p.begin("purge", c.Version, leftover, ConfigFiles, PurgeStarted{Version: c.Version})
}

func (c *Disappear) decide(p *Package) ([]any, error) {
	return p.begin("disappear", c.Version, State.present, IsInstalled, Disappeared{Version: c.Version})
}

func (c *Configure) decide(p *Package) ([]any, error) {
	unpacked := func(s State) bool { return s == Unpacked || s == HalfConfigured }
	return p.begin("configure", c.Version, unpacked, Unpacked, ConfigureStarted{Version: c.Version})
}

func (c *ProcessTriggers) decide(p *Package) ([]any, error) {
	triggered := func(s State) bool { return s == TriggersPending || s == TriggersAwaited }
	return p.begin("trigproc", c.Version, triggered, TriggersPending, TriggersStarted{Version: c.Version})
}

func (c *NoteState) decide(p *Package) ([]any, error) { return p.reach(c.State, c.Version) }
