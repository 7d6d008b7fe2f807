package cli

import (
	"errors"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/config"
)

// fromConfig fills in the URLs that were not given, for commands that look at a store, a broker or both: where a file was
// named, or neither URL was given and there is a file here. What lives in memory is within its program alone, and stays "".
// It gives nil where no configuration is asked.
func (a *app) fromConfig() (*config.Config, error) {
	if a.configFile == "" && (a.storeURL != "" || a.brokerURL != "") {
		return nil, nil //nolint:nilnil // the URLs say it all
	}
	c, err := a.configured()
	if c == nil || err != nil {
		return nil, err
	}
	if a.storeURL == "" && c.EventStoreBackend != "memory" {
		u, err := c.StoreURL()
		if err != nil {
			return nil, err
		}
		a.storeURL = string(u)
	}
	if a.brokerURL == "" && c.EventBus.Backend != "memory" {
		u, err := c.BrokerURL()
		if err != nil {
			return nil, err
		}
		a.brokerURL = string(u)
	}
	return c, nil
}

// nothingNamed is the fault of a command line after fromConfig has found no URL.
func (a *app) nothingNamed(what string, c *config.Config) error {
	if c != nil {
		return usagef("%s: the configuration (%s) names the memory store and the memory broker, which live within their program alone; give --store URL or --broker URL",
			what, a.configName())
	}
	return usagef("%s: give --store URL, --broker URL or both, or set %s and %s, or --config FILE", what, storeVariable, brokerVariable)
}

// examineConfig gives what a check-up says of a configuration: its faults, or what is asking for trouble.
func (a *app) examineConfig(c *config.Config, err error) []checkup.Finding {
	const part = "config"
	var faults *config.Error
	if errors.As(err, &faults) {
		findings := make([]checkup.Finding, len(faults.Faults))
		for i, f := range faults.Faults {
			findings[i] = checkup.Finding{Part: part, Check: "valid", Level: checkup.Fail, Found: f.Error(), Cure: "mend the file or the variable, or name another file with --config (see: lexevents explain 141)"}
		}
		return findings
	}
	set, production := 0, c.Env == "production"
	for _, s := range c.Settings() {
		if s.Origin != config.FromDefault {
			set++
		}
	}
	findings := []checkup.Finding{{Part: part, Check: "valid", Level: checkup.OK, Found: a.configName() + ": " + plural(int64(set), "key") + " set"}}
	warn := func(check, found, cure string) {
		findings = append(findings, checkup.Finding{Part: part, Check: check, Level: checkup.Warn, Found: found, Cure: cure})
	}
	if c.EventStoreBackend == "memory" {
		warn("store", "the memory store: events end with the program, and cannot be examined from here", "set event_store_backend to sqlite or a server's, unless this is for tests")
	}
	if c.EventBus.Backend == "memory" && c.EventStoreBackend != "memory" {
		warn("broker", "the memory broker: published events end with the program, and reach no other one", "set event_bus.backend to a broker's, unless one process is all there is")
	}
	if c.Debug && production {
		warn("debug", "debug is on and env is production: each append, read and message is logged", "set debug to false")
	}
	if !c.VersionSkewAlertsEnabled {
		warn("alerts", "version_skew_alerts_enabled is false: nobody is told of events that this release cannot read", "remove the key, or watch the dead letters otherwise")
	}
	return findings
}
