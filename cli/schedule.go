package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/schedule"
)

func (a *app) schedule() *cobra.Command {
	return group("schedule", "List and cancel events and commands that are scheduled, whichever programs deliver them",
		a.listScheduled(), a.cancelScheduled())
}

func (a *app) listScheduled() *cobra.Command {
	var (
		f      schedule.Filter
		within time.Duration
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List what is pending, what is due first at the top", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if err := notNegative("limit", f.Limit); err != nil {
				return err
			}
			if f.Kind != "" && f.Kind != schedule.KindEvent && f.Kind != schedule.KindCommand {
				return usagef("--kind %q: must be %s or %s", f.Kind, schedule.KindEvent, schedule.KindCommand)
			}
			if within > 0 {
				f.Before = time.Now().Add(within)
			}
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				return show(a, ad.Schedule().List(ctx, f), "nothing is scheduled",
					[]string{"ID", "DUE", "EVERY", "KIND", "TYPE", "STREAM", "DATA", "STATE"},
					func(p schedule.Pending) []any {
						return []any{short(p.ID), clock(p.Due), every(&p), p.Kind, p.Type, p.Stream, short(string(p.Data)), short(scheduledState(&p))}
					})
			})
		}),
	}
	cmd.Flags().StringVar((*string)(&f.Kind), "kind", "", "only these: event or command")
	cmd.Flags().StringVar(&f.Type, "type", "", "only of this type")
	cmd.Flags().StringVar(&f.Prefix, "prefix", "", "only those whose id begins so")
	cmd.Flags().DurationVar(&within, "within", 0, "only what is due within so long, such as 24h, and what is late")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "at most so many (0: all)")
	return cmd
}

// every tells how a delivery recurs.
func every(p *schedule.Pending) string {
	if p.Cron == "" {
		return ""
	}
	return short(p.Cron + " " + p.Zone)
}

// scheduledState tells how a delivery fares.
func scheduledState(p *schedule.Pending) string {
	switch {
	case p.DeliveringBy != "":
		return "being delivered by " + p.DeliveringBy
	case p.Attempts > 0:
		return plural(p.Attempts, "attempt") + " failed, again at " + clock(p.Next) + ": " + p.Error
	case p.Error != "":
		return "waits: " + p.Error
	case p.Due.Before(time.Now()):
		return "late"
	}
	return "waiting"
}

func (a *app) cancelScheduled() *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "Cancel a delivery, and all further ones of what recurs", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				if err := ad.Schedule().Cancel(ctx, args[0]); err != nil {
					return err
				}
				return a.done("delivery", args[0], "cancelled")
			})
		}),
	}
}
