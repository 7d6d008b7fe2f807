package main

import (
	"errors"

	"lexigram.dev/events/schema"
)

// The events of a package. What dpkg begins has "started" in its name; the rest is what came of it.
type (
	// Observed: the log begins after the package did; this is how it was found.
	Observed struct {
		State   State  `json:"state"`
		Version string `json:"version,omitempty"`
	}
	// InstallStarted: dpkg began to unpack a package that was not there. Before is the version whose configuration
	// files were left.
	InstallStarted struct {
		Version string `json:"version"`
		Before  string `json:"before,omitempty"`
	}
	// UpgradeStarted: dpkg began to unpack another version, or the same one again.
	UpgradeStarted struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	// RemovalStarted: dpkg began to remove the package.
	RemovalStarted struct {
		Version string `json:"version"`
	}
	// PurgeStarted: dpkg began to remove what a removal leaves: configuration files.
	PurgeStarted struct {
		Version string `json:"version,omitempty"`
	}
	// ConfigureStarted: dpkg began to configure what was unpacked.
	ConfigureStarted struct {
		Version string `json:"version"`
	}
	// TriggersStarted: dpkg began to process the triggers that other packages had activated.
	TriggersStarted struct {
		Version string `json:"version"`
	}
	// StateChanged: the package went from one state to another that is none of those below.
	StateChanged struct {
		From    State  `json:"from"`
		To      State  `json:"to"`
		Version string `json:"version"`
	}
	// StateConfirmed: dpkg noted the state that the package already had.
	StateConfirmed struct {
		State   State  `json:"state"`
		Version string `json:"version,omitempty"`
	}
	// Installed: the package is unpacked, configured and ready.
	Installed struct {
		Version string `json:"version"`
		From    State  `json:"from"`
	}
	// Removed: the package is gone but for its configuration files.
	Removed struct {
		Version string `json:"version"`
	}
	// Purged: nothing of the package is left.
	Purged struct {
		Version string `json:"version,omitempty"`
	}
	// Disappeared: all files of the package were taken over by others, and dpkg forgot it.
	Disappeared struct {
		Version string `json:"version"`
	}
)

// newRegistry gives the names under which the events are stored.
func newRegistry() (*schema.Registry, error) {
	r := schema.NewRegistry()
	return r, errors.Join(
		schema.Register[Observed](r, "package.observed", schema.Options{}),
		schema.Register[InstallStarted](r, "package.install-started", schema.Options{}),
		schema.Register[UpgradeStarted](r, "package.upgrade-started", schema.Options{}),
		schema.Register[RemovalStarted](r, "package.removal-started", schema.Options{}),
		schema.Register[PurgeStarted](r, "package.purge-started", schema.Options{}),
		schema.Register[ConfigureStarted](r, "package.configure-started", schema.Options{}),
		schema.Register[TriggersStarted](r, "package.triggers-started", schema.Options{}),
		schema.Register[StateChanged](r, "package.state-changed", schema.Options{}),
		schema.Register[StateConfirmed](r, "package.state-confirmed", schema.Options{}),
		schema.Register[Installed](r, "package.installed", schema.Options{}),
		schema.Register[Removed](r, "package.removed", schema.Options{}),
		schema.Register[Purged](r, "package.purged", schema.Options{}),
		schema.Register[Disappeared](r, "package.disappeared", schema.Options{}),
	)
}
