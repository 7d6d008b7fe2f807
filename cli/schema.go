package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/schema/schemalock"
)

func (a *app) schema() *cobra.Command {
	var path string
	snapshot := &cobra.Command{
		Use: "snapshot", Short: "Write the shapes of today into the lock", Args: cobra.NoArgs,
		Long: "snapshot writes the shapes of all registered types into the lock file, which is committed with the code. It is\n" +
			"refused while there are changes that break (see check), unless --force says that no such event is stored.",
	}
	force := snapshot.Flags().Bool("force", false, "also with changes that break")
	snapshot.RunE = a.schemaAction(func(_ context.Context, _ []string) error { return a.schemaSnapshot(path, *force) })

	compatibility := func(cmd *cobra.Command) *string {
		return cmd.Flags().String("mode", string(schemalock.Backward), "who must be able to read: backward (today's programs what is stored),\nforward (older programs what is written today), full (both)")
	}
	check := &cobra.Command{
		Use: "check", Short: "Fail if stored events would break, or the lock is out of date", Args: cobra.NoArgs,
		Long: "check compares the registered types with the lock file. Run it in CI: it fails, and says what to do, when a change\n" +
			"of a type would break stored events, and when the lock does not know of a change yet.",
	}
	checked := compatibility(check)
	check.RunE = a.schemaAction(func(_ context.Context, _ []string) error { return a.schemaCheck(path, *checked) })

	diff := &cobra.Command{Use: "diff", Short: "List what has changed since the lock was written", Args: cobra.NoArgs}
	compared := compatibility(diff)
	diff.RunE = a.schemaAction(func(_ context.Context, _ []string) error {
		changes, err := a.schemaChanges(path, *compared)
		if err != nil {
			return err
		}
		return a.showChanges(changes)
	})

	compare := &cobra.Command{
		Use: "compare TYPE FROM TO", Short: "Say who can read what between two versions of a type", Args: cobra.ExactArgs(3),
		Long: "compare looks at two versions in the lock file, with no upcaster between them: with --mode backward whether programs of\n" +
			"version TO read what those of FROM have written, with forward the other way round. It fails where they do not.",
	}
	between := compatibility(compare)
	compare.RunE = a.action(func(_ context.Context, args []string) error { return a.schemaCompare(path, *between, args) })

	cmd := group("schema", "Guard the shapes of stored event types", snapshot, check, diff, compare)
	cmd.PersistentFlags().StringVar(&path, "lock", "events.schema.json", "the lock file")
	return cmd
}

// schemaAction is action for commands that need the program's own event types.
func (a *app) schemaAction(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return a.action(func(ctx context.Context, args []string) error {
		if a.Registry == nil {
			return errors.New("schema: this program links no event types; make one of your own from package cli, with your registry in Options.Registry " +
				"(see examples/orders), or call schemalock in a test")
		}
		return do(ctx, args)
	})
}

func (a *app) schemaChanges(path, name string) ([]schemalock.Change, error) {
	compatibility, err := schemalock.ParseCompatibility(name)
	if err != nil {
		return nil, usagef("schema: --mode: %v", err)
	}
	lock, err := schemalock.Read(path)
	if err != nil {
		return nil, err
	}
	return lock.Check(a.Registry, compatibility), nil
}

func (a *app) showChanges(changes []schemalock.Change) error {
	for _, c := range changes {
		if a.json {
			if err := a.printJSON(c); err != nil {
				return err
			}
			continue
		}
		mark := "  changed"
		if c.Breaks {
			mark = "  BREAKS "
		}
		fmt.Fprintln(a.stdout, mark, c)
	}
	if len(changes) == 0 && !a.json {
		fmt.Fprintln(a.stdout, "nothing has changed")
	}
	return nil
}

func (a *app) schemaCheck(path, compatibility string) error {
	changes, err := a.schemaChanges(path, compatibility)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		if a.json {
			return nil
		}
		_, err := fmt.Fprintf(a.stdout, "ok: %s are as %s says\n", plural(int64(len(a.Registry.Types())), "event type"), path)
		return err
	}
	if err := a.showChanges(changes); err != nil {
		return err
	}
	if broken := countBreaking(changes); broken > 0 {
		return incompatible("schema check: %s", plural(broken, "change")+" would break (mode "+compatibility+")")
	}
	return fmt.Errorf("schema check: %s is out of date: it does not know of %s that break nothing; run: %s schema snapshot --lock %s, and commit the file",
		path, plural(int64(len(changes)), "change"), filepath.Base(os.Args[0]), path)
}

func (a *app) schemaSnapshot(path string, force bool) error {
	before, err := schemalock.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if before != nil && !force {
		changes := before.Check(a.Registry, schemalock.Backward)
		if broken := countBreaking(changes); broken > 0 {
			if err := a.showChanges(slices.DeleteFunc(changes, func(c schemalock.Change) bool { return !c.Breaks })); err != nil {
				return err
			}
			return incompatible("schema snapshot: nothing was written: %s would break stored events; --force writes them all the same", plural(broken, "change"))
		}
	}
	if err := schemalock.Take(a.Registry, before).Write(path); err != nil {
		return err
	}
	types := int64(len(a.Registry.Types()))
	if a.json {
		return a.printJSON(map[string]any{"lock": path, "types": types})
	}
	_, err = fmt.Fprintf(a.stdout, "wrote %s: %s\n", path, plural(types, "event type"))
	return err
}

// incompatible is the error of changes that break.
func incompatible(format string, args ...any) error {
	return errcode.With(errcode.SchemaIncompatible, fmt.Errorf(format, args...))
}

func countBreaking(changes []schemalock.Change) (n int64) {
	for _, c := range changes {
		if c.Breaks {
			n++
		}
	}
	return n
}

func (a *app) schemaCompare(path, name string, args []string) error {
	mode, err := schemalock.ParseCompatibility(name)
	if err != nil {
		return usagef("schema: --mode: %v", err)
	}
	var versions [2]int
	for i, text := range args[1:] {
		if versions[i], err = strconv.Atoi(text); err != nil {
			return usagef("schema compare: version %q: must be a number", text)
		}
	}
	lock, err := schemalock.Read(path)
	if err != nil {
		return err
	}
	changes, err := lock.Compare(args[0], versions[0], versions[1], mode)
	if err == nil {
		err = a.showChanges(changes)
	}
	if broken := countBreaking(changes); err == nil && broken > 0 {
		err = incompatible("schema compare: not %s compatible: %s", mode, plural(broken, "change"))
	}
	return err
}
