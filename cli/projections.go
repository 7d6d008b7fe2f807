package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/projection"
)

func (a *app) projections() *cobra.Command {
	steer := steering(a, "projection", (*admin.Admin).Projections)
	return group("projections", "List, rebuild and steer projections, whichever programs run them",
		a.listProjections(), a.projectionStatus(), a.rebuildProjection(),
		steer("cancel", "End a rebuild; the live generation serves on", "rebuild cancelled",
			(*projection.Control).Cancel),
		steer("switch-back", "Make the generation before the live one live again", "the generation before is live, or will be when it is as far",
			func(c *projection.Control, ctx context.Context, name string) error {
				_, err := c.SwitchBack(ctx, name)
				return err
			}),
		steer("drop-previous", "Remove the generations before the live one", "the generations before the live one are being removed",
			(*projection.Control).DropPrevious),
		steer("pause", "Stop handling events until resume, also across restarts; readers are served", "paused",
			(*projection.Control).Pause),
		steer("resume", "End a pause; let a faulted projection try again", "resumed",
			(*projection.Control).Resume),
		steer("reset", "Clear the read model and begin at the start of the log; rebuild keeps serving instead", "reset: an empty generation is live and fills",
			(*projection.Control).Reset),
		steer("delete", "Forget a projection that nobody runs, with its documents", "deleted",
			(*projection.Control).Delete),
	)
}

func (a *app) listProjections() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all that have ever run, with their lag", Args: cobra.NoArgs,
		RunE: listing(a,
			func(ad *admin.Admin, ctx context.Context) iter.Seq2[projection.Status, error] {
				return ad.Projections().List(ctx)
			},
			"no projection has ever run on this store",
			[]string{"NAME", "STATE", "VERSION", "GENERATION", "POSITION", "BEHIND", "SINCE", "DEAD LETTERS", "ERROR"},
			func(s projection.Status) []any {
				return []any{
					s.Name, s.State, s.Live.Version, s.Live.Number, count(s.Position), plural(s.Lag, "event"), age(s.LagTime), s.DeadLetters, short(s.Error),
				}
			}),
	}
}

func (a *app) projectionStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status NAME", Short: "Show one, with its generations", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				s, err := ad.Projections().Status(ctx, args[0])
				if err != nil {
					return err
				}
				return a.showProjection(&s)
			})
		}),
	}
}

func (a *app) showProjection(s *projection.Status) error {
	if a.json {
		return a.printJSON(s)
	}
	rows := []any{
		"name", s.Name, "state", s.State,
		"position", count(s.Position) + " of " + count(s.Head),
		"behind", plural(s.Lag, "event") + ", " + age(s.LagTime),
		"dead letters", s.DeadLetters,
	}
	if len(s.Owners) > 0 {
		owners := make([]string, len(s.Owners))
		for i, owner := range s.Owners {
			owners[i] = cmp.Or(owner, "nobody")
		}
		rows = append(rows, "owners", strings.Join(owners, ", "))
	}
	if s.Error != "" {
		rows = append(rows, "error", s.Error)
	}
	if s.Progress != nil {
		rows = append(rows, "rebuild", progressText(*s.Progress))
	}
	if err := fields(a.stdout, rows...); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout)
	t := newTable(a.stdout, "GENERATION", "", "VERSION", "MODE", "PARTITIONS", "MADE", "DOCUMENTS")
	row := func(g projection.Generation, what string) error {
		return t.row(g.Number, what, g.Version, g.Mode, g.Partitions, moment(g.CreatedAt), strings.Join(g.Documents, ", "))
	}
	if s.Building != nil {
		if err := row(*s.Building, "being built"); err != nil {
			return err
		}
	}
	if err := row(s.Live, "live"); err != nil {
		return err
	}
	for _, g := range s.Previous {
		if err := row(g, "previous"); err != nil {
			return err
		}
	}
	return t.end()
}

func progressText(p projection.Progress) string {
	text := fmt.Sprintf("%s of %s, %s events/s", count(p.Position), count(p.Head), count(int64(p.Rate)))
	if p.Left > 0 {
		text += ", " + age(p.Left) + " left"
	}
	return text
}

func (a *app) rebuildProjection() *cobra.Command {
	var (
		o      projection.RebuildOptions
		detach bool
	)
	cmd := &cobra.Command{
		Use: "rebuild NAME", Short: "Build the read model anew beside the live one, and switch when it has caught up", Args: cobra.ExactArgs(1),
		Long: "rebuild has the programs that run the projection build a new generation of its read model. The live one serves\n" +
			"until the new one is as far; then they are switched, at once and as a whole, and `switch-back` undoes it.\n\n" +
			"It waits and shows the progress. Ctrl-C stops the waiting, not the rebuild: `cancel` does.",
		RunE: a.action(func(ctx context.Context, args []string) error {
			if err := notNegative("partitions", o.Partitions); err != nil {
				return err
			}
			return a.with(ctx, toChange, func(ad *admin.Admin) error { return a.rebuild(ctx, ad.Projections(), args[0], o, detach) })
		}),
	}
	cmd.Flags().IntVar(&o.Partitions, "partitions", 0, "how many parts are handled at the same time, also later (0: as now)")
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for it")
	return cmd
}

func (a *app) rebuild(ctx context.Context, c *projection.Control, name string, o projection.RebuildOptions, detach bool) error {
	generation, err := c.Rebuild(ctx, name, o)
	if err != nil {
		return err
	}
	if detach {
		return a.done("projection", name, fmt.Sprintf("generation %d begins; see: lexevents projections status %s", generation, name))
	}
	s, err := c.Status(ctx, name)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Owners, func(owner string) bool { return owner != "" }) {
		fmt.Fprintf(a.stderr, "nobody runs projection %s now: generation %d waits for a program that does (Ctrl-C to leave it to that)\n", name, generation)
	}
	bar := a.progress("rebuild "+name, int64(s.Head), false)
	err = c.Follow(ctx, name, generation, func(p projection.Progress) { bar.at(int64(p.Position), int64(p.Head)) })
	bar.end()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("no longer waiting: generation %d is still being built; `lexevents projections cancel %s` ends it", generation, name)
	}
	if err != nil {
		return err
	}
	return a.done("projection", name, fmt.Sprintf("generation %d is live", generation))
}
