package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
)

const transformExample = `  rules:
  - rename_type: {from: order.created, to: order.placed}
  - set_schema_version: {type: order.placed, version: 2}
  - rename_field: {type: order.placed, field: customer.name, to: full_name}
  - drop_field: {type: "*", field: card.number}
  - set_default: {type: order.placed, field: currency, value: EUR}
  - drop_type: {type: order.debug}
  - move_category: {from: order, to: purchase}
`

// transforming are the flags of a copy with a transform.
type transforming struct {
	file    string // of rules; "": a copy as it is
	name    string
	within  bool
	at      string
	between string
	rate    float64
}

func (t *transforming) flags(f *pflag.FlagSet) {
	f.StringVar(&t.file, "transform", "", "change the events on the way by the rules of this file")
	f.StringVar(&t.name, "name", "transform", "with --transform: name of the copy, by which a later call goes on with it")
	f.BoolVar(&t.within, "within", false, "with --transform: copy within one store, between the categories of its move_category rules")
	f.StringVar(&t.at, "at", "", "with --transform: begin at this time, such as 2026-11-30T22:00:00+01:00")
	f.StringVar(&t.between, "between", "", "with --transform: work between these times of the day only, such as 22:00-05:00")
	f.Float64Var(&t.rate, "rate", 0, "with --transform: copy at most so many events a second")
}

// needsFile refuses flags that do nothing without a file of rules.
func (t *transforming) needsFile() error {
	if t.within || t.at != "" || t.between != "" || t.rate != 0 || t.name != "transform" {
		return usagef("--within, --name, --at, --between and --rate belong to --transform FILE")
	}
	return nil
}

// readRules reads a file of rules, which is YAML; JSON is too.
func readRules(path string) (*migrate.Rules, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--transform: %w", err)
	}
	rules, err := parseRules(data, filepath.Ext(path) != ".json")
	if err != nil {
		return nil, fmt.Errorf("--transform %s: %w", path, err)
	}
	return rules, nil
}

func parseRules(data []byte, isYAML bool) (rules *migrate.Rules, err error) {
	defer func() { // the YAML library has panicked on odd input before
		if value := recover(); value != nil {
			rules, err = nil, fmt.Errorf("%w: it cannot be read as YAML: %v", store.ErrInvalid, value)
		}
	}()
	if isYAML {
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrInvalid, err)
		}
	}
	return migrate.ParseRules(data)
}

// options gives those of the copy.
func (t *transforming) options(rules *migrate.Rules) (o migrate.TransformOptions, err error) {
	o = migrate.TransformOptions{Name: t.name, Stateless: true}
	o.Schedule.EventsPerSecond = t.rate
	if t.rate < 0 {
		return o, usagef("--rate %v: must not be negative", t.rate)
	}
	if t.at != "" {
		if o.Schedule.At, err = time.Parse(time.RFC3339, t.at); err != nil {
			return o, usagef("--at %q: must be a time with a zone, such as 2026-11-30T22:00:00+01:00", t.at)
		}
	}
	if t.between != "" {
		from, until, ok := strings.Cut(t.between, "-")
		if !ok {
			return o, usagef("--between %q: must be two times of the day, such as 22:00-05:00", t.between)
		}
		for text, into := range map[string]*time.Duration{from: &o.Schedule.From, until: &o.Schedule.Until} {
			clock, err := time.Parse("15:04", strings.TrimSpace(text))
			if err != nil {
				return o, usagef("--between %q: %q is no time of the day, such as 22:00", t.between, text)
			}
			*into = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
		}
		if o.Schedule.From == o.Schedule.Until {
			return o, usagef("--between %q: the times are the same", t.between)
		}
	}
	if t.within {
		o.Filter.Categories, o.Into = rules.Moves()
		if len(o.Into) == 0 {
			return o, usagef("--within: the rules have no move_category, so there is nowhere to copy to")
		}
	}
	return o, nil
}

// openTransform opens what a copy with a transform needs; both ends are one store with --within.
func (a *app) openTransform(ctx context.Context, c copying) (from, to *store.Store, done func() error, err error) {
	p := toWrite
	if c.dryRun {
		p = toRead
	}
	if !c.within {
		from, to, done, err = a.openEnds(ctx, c.ends, p)
		if c.dryRun && errors.Is(err, store.ErrNotFound) && embedded(c.to) { // a copy would create it, empty
			from, to, done, err = a.openEnds(ctx, ends{from: c.from, to: "memory:"}, toRead)
		}
		return from, to, done, err
	}
	if c.to != "" {
		return nil, nil, nil, usagef("--within is one store: leave --to out")
	}
	if c.from == "" {
		c.from = a.storeURL
	}
	if c.from == "" {
		return nil, nil, nil, usagef("no store: give --store URL or set %s", storeVariable)
	}
	if p == toWrite {
		p = toChange
	}
	from, err = a.openURL(ctx, c.from, p)
	if err != nil {
		return nil, nil, nil, err
	}
	return from, from, from.Close, nil
}

func (a *app) transform(ctx context.Context, c copying) (err error) {
	if c.follow || c.records {
		return usagef("--follow and --records copy a log as it is: leave them out with --transform")
	}
	rules, err := readRules(c.file)
	if err != nil {
		return err
	}
	o, err := c.options(rules)
	if err != nil {
		return err
	}
	from, to, done, err := a.openTransform(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	bar := a.progress("transform", -1, false)
	o.Progress = showAt(bar)
	if c.dryRun {
		plan, err := migrate.PlanTransformed(ctx, from, to, rules.New, o)
		bar.end()
		if err != nil {
			return err
		}
		return a.showTransformPlan(&plan)
	}
	copied, err := migrate.CopyTransformed(ctx, from, to, rules.New, o)
	bar.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("copy: interrupted at position %s of the source: run it again to go on there", count(copied.Position))
	case err != nil:
		return err
	}
	var compared *migrate.Compared
	if c.verify {
		o.UpTo = copied.Position
		bar := a.progress("verify", -1, false)
		o.Progress = showAt(bar)
		proof, err := migrate.CompareTransformed(ctx, from, to, rules.New, o)
		bar.end()
		if err != nil {
			return err
		}
		compared = &proof
	}
	return a.showTransformed(&copied, compared)
}

func (a *app) showTransformed(c *migrate.Transformed, compared *migrate.Compared) error {
	if a.json {
		err := a.printJSON(struct {
			*migrate.Transformed
			Seconds  float64           `json:"seconds"`
			Compared *migrate.Compared `json:"compared,omitempty"`
		}{c, c.Took.Seconds(), compared})
		if err != nil {
			return err
		}
	} else {
		what := fmt.Sprintf("read %s up to position %s, wrote %s in %s", plural(c.Events, "event"), count(c.Position), plural(c.Written, "event"), c.Took.Round(time.Millisecond))
		if c.Total > c.Written {
			what += fmt.Sprintf("; %s in all", count(c.Total))
		}
		if _, err := fmt.Fprintln(a.stdout, what); err != nil {
			return err
		}
	}
	switch {
	case compared == nil:
		return nil
	case !compared.OK():
		if !a.json {
			for _, d := range compared.Differences {
				fmt.Fprintln(a.stdout, d)
			}
		}
		return fmt.Errorf("copy: %s from what the rules give", plural(int64(len(compared.Differences))+compared.More, "difference"))
	case a.json:
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "proven: the target holds the %s that the rules give, sha256 %s\n", plural(compared.Target.Events, "event"), compared.Target.SHA256)
	return err
}

func (a *app) showTransformPlan(p *migrate.TransformPlan) error {
	if a.json {
		return a.printJSON(p)
	}
	fmt.Fprintf(a.stdout, "would read %s up to position %s, and write %s (%s); nothing was written\n\n",
		plural(p.Events, "event"), count(p.Head), plural(p.Outputs, "event"), megabytes(p.Bytes))
	err := fields(a.stdout, "unchanged", count(p.Unchanged), "changed", count(p.Changed), "renamed", count(p.Renamed), "moved", count(p.Moved),
		"split", count(p.Split), "dropped", count(p.Dropped), "streams deleted", count(p.Deleted))
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout)
	t := newTable(a.stdout, "TYPE", "EVENTS", "BECOMES")
	for _, change := range p.Types {
		var into []string
		for _, name := range slices.Sorted(maps.Keys(change.Into)) {
			into = append(into, fmt.Sprintf("%s %s", count(change.Into[name]), printable(name)))
		}
		if n := len(into); n == 0 {
			into = []string{"nothing"}
		}
		if err := t.row(printable(change.Type), count(change.Events), strings.Join(into, ", ")); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	for _, e := range p.Examples {
		fmt.Fprintf(a.stdout, "\n%s, for example at position %s:\n  - %s\n", e.Kind, count(e.Position), exampleLine(&e.Before))
		for i := range e.After {
			fmt.Fprintf(a.stdout, "  + %s\n", exampleLine(&e.After[i]))
		}
	}
	return nil
}

func exampleLine(e *migrate.ExampleEvent) string {
	return strings.ReplaceAll(printable(fmt.Sprintf("%s %s v%d %s", e.Stream, e.Type, e.SchemaVersion, e.Data)), "\n", " ")
}
