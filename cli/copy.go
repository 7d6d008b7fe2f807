package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
)

// ends are the two stores of a copy.
type ends struct{ from, to string }

func (e *ends) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.from, "from", "", "URL of the source (default: the store of --store)")
	cmd.Flags().StringVar(&e.to, "to", "", "URL of the target")
}

// openEnds opens the source for reading, and the target for a purpose. The caller closes both by the function.
func (a *app) openEnds(ctx context.Context, e ends, p purpose) (from, to *store.Store, closeBoth func() error, err error) {
	if e.from == "" {
		e.from = a.storeURL
	}
	switch {
	case e.from == "" || e.to == "":
		return nil, nil, nil, usagef("give both ends: --from URL --to URL")
	case e.from == e.to:
		return nil, nil, nil, usagef("--from and --to are the same store")
	}
	if from, err = a.openURL(ctx, e.from, toRead); err != nil {
		return nil, nil, nil, fmt.Errorf("--from: %w", err)
	}
	if to, err = a.openURL(ctx, e.to, p); err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("--to: %w", err), from.Close())
	}
	return from, to, func() error { return errors.Join(from.Close(), to.Close()) }, nil
}

// copying is one call of the copy command.
type copying struct {
	ends
	follow, records, verify, dryRun bool
	transforming
}

func (a *app) copy() *cobra.Command {
	var c copying
	cmd := &cobra.Command{
		Use: "copy", Short: "Copy a log into another store, of any backend, as it is", Args: cobra.NoArgs,
		Long: "copy copies all events with their positions, versions, ids, times and metadata, while the source is in use. The\n" +
			"target is empty, or what an earlier copy has left: a copy that was interrupted goes on where it was. A server's\n" +
			"target is created before, by: lexevents migrate up --store URL.\n\n" +
			"With --follow it goes on with what comes until Ctrl-C, which switches over: stop the writers, press Ctrl-C, and\n" +
			"the rest is copied. A second Ctrl-C ends it at once.\n\n" +
			"With --transform the events are changed on the way, by the rules of a file (YAML or JSON):\n\n" +
			transformExample + "\n" +
			"The copy goes into an empty target, or with --within into other categories of the same store. Try it with\n" +
			"--dry-run first, and prove it with --verify.",
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if c.file != "" {
				return a.transform(ctx, c)
			}
			if err := c.needsFile(); err != nil {
				return err
			}
			if c.dryRun && c.follow {
				return usagef("--dry-run ends by itself: leave --follow out")
			}
			if c.dryRun {
				return a.planCopy(ctx, c)
			}
			return a.doCopy(ctx, c)
		}),
	}
	c.ends.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&c.follow, "follow", false, "go on following the source until Ctrl-C switches over")
	f.BoolVar(&c.records, "records", false, "copy keyed records too: checkpoints, documents, dead letters; not leases")
	f.BoolVar(&c.verify, "verify", false, "compare both ends afterwards")
	f.BoolVar(&c.dryRun, "dry-run", false, "check both ends and say what would be done")
	c.transforming.flags(f)
	return cmd
}

func (a *app) planCopy(ctx context.Context, c copying) (err error) {
	from, to, done, err := a.openEnds(ctx, c.ends, toRead)
	create := errors.Is(err, store.ErrNotFound) && embedded(c.to)
	if create { // a copy would create it, empty
		from, to, done, err = a.openEnds(ctx, ends{from: c.from, to: "memory:"}, toRead)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	bar := a.progress("check", -1, false)
	p, err := migrate.Plan(ctx, from, to, migrate.Options{Records: c.records, Progress: showAt(bar)})
	bar.end()
	switch {
	case err != nil:
		return err
	case a.json:
		return a.printJSON(p)
	}
	var what []string
	if create {
		what = append(what, "create the target,")
	}
	what = append(what, fmt.Sprintf("copy %s (%s) after position %s, up to %s", plural(p.Events, "event"), megabytes(p.Bytes), count(p.Position), count(p.Head)))
	if p.Truncates > 0 {
		what = append(what, "and truncate "+plural(p.Truncates, "stream"))
	}
	if c.records {
		what = append(what, "and set or remove "+plural(p.Records, "record"))
	}
	_, err = fmt.Fprintf(a.stdout, "would %s; nothing was written\n", strings.Join(what, " "))
	return err
}

func (a *app) doCopy(ctx context.Context, c copying) (err error) {
	from, to, done, err := a.openEnds(ctx, c.ends, toWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	work, o, stop := a.switching(ctx, c)
	defer stop()
	bar := a.progress("copy", -1, false)
	show := o.Progress
	o.Progress = func(p migrate.Progress) {
		showAt(bar)(p)
		show(p)
	}
	copied, err := migrate.Copy(work, from, to, o)
	bar.end()
	switch {
	case err != nil && work.Err() != nil:
		return fmt.Errorf("copy: interrupted at position %s: run it again to go on there", count(copied.Position))
	case err != nil:
		return err
	}
	var compared *migrate.Compared
	if c.verify {
		if compared, err = a.compareStores(work, from, to, migrate.Comparison{UpTo: copied.Position, Records: c.records}); err != nil {
			return err
		}
	}
	if err := a.showCopied(copied, compared, c.records); err != nil {
		return err
	}
	if c.follow && copied.Behind > 0 {
		return fmt.Errorf("copy: %s came to the source after the switch-over: stop its writers and run it again", plural(copied.Behind, "event"))
	}
	return nil
}

// switching makes the end of ctx, which is Ctrl-C, the switch-over once the copy has caught up, and its end before.
func (a *app) switching(ctx context.Context, c copying) (work context.Context, o migrate.Options, stop func()) {
	o = migrate.Options{Records: c.records, Progress: func(migrate.Progress) {}}
	if !c.follow {
		return ctx, o, func() {}
	}
	over := make(chan struct{})
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var caughtUp atomic.Bool
	var once sync.Once
	o.SwitchOver = over
	o.Progress = func(p migrate.Progress) {
		if p.CaughtUp {
			caughtUp.Store(true)
			once.Do(func() {
				fmt.Fprintf(a.stderr, "caught up at position %s, following; Ctrl-C switches over\n", count(p.Position))
			})
		}
	}
	unwatch := context.AfterFunc(ctx, func() {
		if caughtUp.Load() {
			close(over)
		} else {
			cancel()
		}
	})
	return work, o, func() { unwatch(); cancel() }
}

func (a *app) compare() *cobra.Command {
	var e ends
	var o migrate.Comparison
	cmd := &cobra.Command{
		Use: "compare", Short: "Prove that two stores hold the same", Args: cobra.NoArgs,
		Long: "compare reads both logs side by side, every field of every event, and what the stores say of their streams. It lists\n" +
			"what differs and exits with 1 if anything does. Nobody should write meanwhile.",
		RunE: a.action(func(ctx context.Context, _ []string) (err error) {
			if err := notNegative("max-differences", o.MaxDifferences); err != nil {
				return err
			}
			from, to, done, err := a.openEnds(ctx, e, toRead)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, done()) }()
			compared, err := a.compareStores(ctx, from, to, o)
			if err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(compared); err != nil {
					return err
				}
			}
			return a.showCompared(compared, o.Records)
		}),
	}
	e.flags(cmd)
	cmd.Flags().BoolVar(&o.Records, "records", false, "compare keyed records too, but for leases")
	cmd.Flags().IntVar(&o.MaxDifferences, "max-differences", 20, "how many to list; further ones are counted")
	return cmd
}

func (a *app) compareStores(ctx context.Context, from, to *store.Store, o migrate.Comparison) (*migrate.Compared, error) {
	bar := a.progress("compare", -1, false)
	o.Progress = showAt(bar)
	compared, err := migrate.Compare(ctx, from, to, o)
	bar.end()
	if err != nil {
		return nil, err
	}
	return &compared, nil
}

func showAt(bar *progress) func(migrate.Progress) {
	return func(p migrate.Progress) { bar.at(int64(p.Position), int64(p.Head)) }
}

func (a *app) showCopied(c migrate.Copied, compared *migrate.Compared, records bool) error {
	rate := float64(0)
	if c.Copying > 0 {
		rate = float64(c.Events) / c.Copying.Seconds()
	}
	if a.json {
		if err := a.printJSON(struct {
			migrate.Copied
			Seconds         float64           `json:"seconds"`
			EventsPerSecond float64           `json:"events_per_second"`
			Compared        *migrate.Compared `json:"compared,omitempty"`
		}{c, c.Took.Seconds(), rate, compared}); err != nil {
			return err
		}
	} else {
		what := fmt.Sprintf("copied %s (%s) up to position %s in %s", plural(c.Events, "event"), megabytes(c.Bytes), count(c.Position), c.Took.Round(time.Millisecond))
		if c.Events > 0 {
			what += fmt.Sprintf(", %s events/s", count(int64(rate)))
		}
		if c.Begun > 0 {
			what += fmt.Sprintf("; %s were there", count(c.Begun))
		}
		if c.Truncated > 0 {
			what += fmt.Sprintf("; %s removed that the source has lost", plural(c.Truncated, "event"))
		}
		if records {
			what += fmt.Sprintf("; %s set or removed", plural(c.Records, "record"))
		}
		if _, err := fmt.Fprintln(a.stdout, what); err != nil {
			return err
		}
	}
	if compared == nil {
		return nil
	}
	return a.showCompared(compared, records)
}

// showCompared prints the outcome, which is JSON already where that is asked for, and makes differences an error.
func (a *app) showCompared(c *migrate.Compared, records bool) error {
	what := fmt.Sprintf("%s in %s up to position %s", plural(c.Target.Events, "event"), plural(c.Target.Streams, "stream"), count(c.Position))
	if records {
		what += ", " + plural(c.Target.Records, "record")
	}
	if !c.OK() {
		if !a.json {
			for _, d := range c.Differences {
				fmt.Fprintln(a.stdout, d)
			}
		}
		return fmt.Errorf("compare: %s among %s", plural(int64(len(c.Differences))+c.More, "difference"), what)
	}
	if a.json {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "the same: %s, sha256 %s\n", what, c.Target.SHA256)
	return err
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
