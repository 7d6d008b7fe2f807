package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
)

func (a *app) benchSubscribe() *cobra.Command {
	var o admin.BenchSubscribe
	cmd := &cobra.Command{
		Use: "subscribe", Short: "Measure catching up, the way to a live handler, and what following costs appends", Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if o.Samples < 1 || o.Duration <= 0 {
				return usagef("--samples and --duration must be positive")
			}
			return nil
		},
		RunE: benchLog(a, &o.BenchRead, func(ad *admin.Admin, ctx context.Context, baseline admin.Baseline) (admin.SubscribeFigures, error) {
			return ad.BenchSubscribe(ctx, baseline, o)
		}, a.showFeeds),
	}
	benchReadFlags(cmd, &o.BenchRead)
	cmd.Flags().IntVar(&o.Samples, "samples", 300, "appends whose way to the handler is timed, one by one")
	cmd.Flags().DurationVar(&o.Duration, "duration", 3*time.Second, "of appending by 64 writers, with a follower and without, each")
	return cmd
}

// benchLog makes the function of a command that fills the log, shows how far that is, measures something, and shows that.
func benchLog[F any](
	a *app, o *admin.BenchRead, measure func(*admin.Admin, context.Context, admin.Baseline) (F, error), show func(figures F, compared bool) error,
) func(*cobra.Command, []string) error {
	return a.action(func(ctx context.Context, _ []string) error {
		if o.Events < 1 {
			return usagef("--events %d: must be at least 1", o.Events)
		}
		return a.measure(ctx, func(ad *admin.Admin, baseline admin.Baseline) error {
			bar := a.progress("fill", -1, false)
			o.Progress = bar.at
			figures, err := measure(ad, ctx, baseline)
			bar.end()
			if err != nil {
				return err
			}
			return show(figures, baseline != nil)
		})
	})
}

func benchReadFlags(cmd *cobra.Command, o *admin.BenchRead) {
	cmd.Flags().Int64Var(&o.Events, "events", 1_000_000, "how many events the log must hold; those that lack are appended first")
	cmd.Flags().BoolVar(&o.Force, "force", false, "measure on a store that holds other events too")
}

func (a *app) showFeeds(r admin.SubscribeFigures, compared bool) error {
	if a.json {
		return a.printJSON(r)
	}
	rows := []any{
		"catch-up", fmt.Sprintf("%s events/s of %s", count(int64(r.EventsPerSecond)), count(r.Events)),
		"to the handler", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms from the call of Append, idle", r.P50, r.P99),
		"appends", fmt.Sprintf("%.2f times as fast with a follower that is woken and selects nothing, %.2f with one that handles all", r.ListeningRatio, r.HandlingRatio),
	}
	if compared {
		rows = append(rows, "raw read", fmt.Sprintf("%s events/s: the catch-up is %.2f times as fast", count(int64(r.RawEventsPerSecond)), r.Ratio))
	}
	return fields(a.stdout, rows...)
}

func (a *app) benchProject() *cobra.Command {
	var o admin.BenchRead
	cmd := &cobra.Command{
		Use: "project", Short: "Measure a projection that keeps a document for each stream", Args: cobra.NoArgs,
		RunE: benchLog(a, &o, func(ad *admin.Admin, ctx context.Context, baseline admin.Baseline) (admin.ProjectFigures, error) {
			return ad.BenchProject(ctx, baseline, o)
		}, a.showProjections),
	}
	benchReadFlags(cmd, &o)
	return cmd
}

func (a *app) showProjections(r admin.ProjectFigures, compared bool) error {
	if a.json {
		return a.printJSON(r)
	}
	rows := []any{"projection", fmt.Sprintf("%s events/s, %s events into %s", count(int64(r.EventsPerSecond)), count(r.Events), plural(r.Documents, "document"))}
	if compared {
		rows = append(rows, "raw read", fmt.Sprintf("%s events/s: the projection is %.2f times as fast", count(int64(r.RawEventsPerSecond)), r.Ratio))
	}
	return fields(a.stdout, rows...)
}
