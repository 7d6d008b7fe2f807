package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lexigram.dev/events/config"
)

// configVariable names the configuration file where --config does not.
const configVariable = "LEX_EVENTS_CONFIG"

func (a *app) config() *cobra.Command {
	changed := false
	show := &cobra.Command{
		Use: "show", Short: "What each key is set to, and by what", Args: cobra.NoArgs,
		Long: "show prints every key with its value and where that comes from: a line of a file, a variable, or the default.\n" +
			"Passwords are masked.",
		RunE: a.action(func(context.Context, []string) error {
			c, err := config.Load(a.configSource())
			if err != nil {
				return a.showFaults("show", err)
			}
			return a.showSettings(c, changed)
		}),
	}
	show.Flags().BoolVar(&changed, "changed", false, "only keys that are not at their defaults")
	check := &cobra.Command{
		Use: "check", Short: "Fail, and print all faults, if a program could not start with it", Args: cobra.NoArgs,
		Long: "check reads the file, the overlay of the profile and the variables as a program would, and prints every unknown\n" +
			"key, wrong type, value out of range and missing section with its place. It connects to nothing.",
		RunE: a.action(func(context.Context, []string) error { return a.configCheck() }),
	}
	schema := &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the file, for editors", Args: cobra.NoArgs,
		RunE: a.action(func(context.Context, []string) error {
			_, err := a.stdout.Write(config.JSONSchema())
			return err
		}),
	}
	return group("config", "Look into and check the configuration of a program", show, check, schema)
}

func (a *app) configSource() config.Source { return config.Source{Path: a.configFile} }

func (a *app) showSettings(c *config.Config, changed bool) error {
	t := newTable(a.stdout, "KEY", "VALUE", "FROM")
	if a.json {
		t = nil
	}
	for _, s := range c.Settings() {
		if changed && s.Origin == config.FromDefault {
			continue
		}
		var err error
		if a.json {
			err = a.printJSON(s)
		} else {
			err = t.row(s.Key, printable(s.Value), s.Origin)
		}
		if err != nil {
			return err
		}
	}
	if a.json {
		return nil
	}
	return t.end()
}

func (a *app) configCheck() error {
	c, err := config.Load(a.configSource())
	if err != nil {
		return a.showFaults("check", err)
	}
	if a.json {
		return nil
	}
	set := 0
	for _, s := range c.Settings() {
		if s.Origin != config.FromDefault {
			set++
		}
	}
	_, err = fmt.Fprintf(a.stdout, "ok: %s set, the store is %s, the event bus is %s\n", plural(set, "key"), c.EventStoreBackend, c.EventBus.Backend)
	return err
}

// showFaults prints faults as results, one on a line.
func (a *app) showFaults(what string, err error) error {
	var all *config.Error
	if !errors.As(err, &all) {
		return err
	}
	for _, f := range all.Faults {
		if a.json {
			err = a.printJSON(f)
		} else {
			_, err = fmt.Fprintln(a.stdout, printable(f.Error()))
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("config %s: %s", what, plural(len(all.Faults), "fault"))
}

// configured loads the configuration that stands in for a missing URL: of the file that was named, or the one that is here.
// It gives nil where there is none.
func (a *app) configured() (*config.Config, error) {
	if a.configFile == "" {
		if _, err := os.Stat(config.DefaultFile); err != nil {
			return nil, nil //nolint:nilerr // there is none
		}
	}
	return config.Load(a.configSource())
}

// storeOf gives the URL of the store of a configuration, and where it is from, for errors; "": there is none.
func (a *app) storeOf() (string, error) {
	c, err := a.configured()
	if c == nil || err != nil {
		return "", err
	}
	if c.EventStoreBackend == "memory" {
		return "", usagef("no store: the configuration (%s) names the memory store, which lives within its program alone; give --store URL", a.configName())
	}
	u, err := c.StoreURL()
	return string(u), err
}

// brokerOf is like storeOf.
func (a *app) brokerOf() (string, error) {
	c, err := a.configured()
	if c == nil || err != nil {
		return "", err
	}
	if c.EventBus.Backend == "memory" {
		return "", usagef("no broker: the configuration (%s) names the memory broker, which lives within its program alone; give --broker URL", a.configName())
	}
	u, err := c.BrokerURL()
	return string(u), err
}

func (a *app) configName() string {
	if a.configFile == "" {
		return config.DefaultFile
	}
	return strings.TrimPrefix(filepath.ToSlash(a.configFile), "./")
}
