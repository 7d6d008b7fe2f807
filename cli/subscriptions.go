package cli

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/subscription"
)

func (a *app) subscriptions() *cobra.Command {
	steer := steering(a, "subscription", (*admin.Admin).Subscriptions)
	return group("subscriptions", "List and steer subscriptions, whichever programs run them",
		a.listSubscriptions(), a.subscriptionStatus(),
		steer("pause", "Stop the feeding until resume, also across restarts", "paused",
			(*subscription.Control).Pause),
		steer("resume", "End a pause; let a faulted partition try again", "resumed",
			(*subscription.Control).Resume),
		a.resetSubscription(),
		steer("delete", "Forget the checkpoints of a subscription that nobody runs", "deleted",
			(*subscription.Control).Delete),
	)
}

func (a *app) listSubscriptions() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all that have ever run, with their lag", Args: cobra.NoArgs,
		RunE: listing(a,
			func(ad *admin.Admin, ctx context.Context) iter.Seq2[subscription.Status, error] {
				return ad.Subscriptions().List(ctx)
			},
			"no subscription has ever run on this store",
			[]string{"NAME", "STATE", "POSITION", "BEHIND", "SINCE", "ERROR"},
			func(s subscription.Status) []any {
				return []any{s.Name, s.State, count(s.Position), plural(s.Lag, "event"), age(s.LagTime), short(s.Error)}
			}),
	}
}

func (a *app) subscriptionStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status NAME", Short: "Show one, with its partitions", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				status, err := ad.Subscriptions().Status(ctx, args[0])
				if err != nil {
					return err
				}
				return a.showSubscription(status)
			})
		}),
	}
}

func (a *app) showSubscription(s subscription.Status) error {
	if a.json {
		return a.printJSON(s)
	}
	rows := []any{
		"name", s.Name, "state", s.State,
		"position", count(s.Position) + " of " + count(s.Head),
		"behind", plural(s.Lag, "event") + ", " + age(s.LagTime),
	}
	if s.Skewed > 0 {
		rows = append(rows, "version skew", plural(s.Skewed, "event")+" parked until a newer release runs")
	}
	if s.Error != "" {
		rows = append(rows, "error", s.Error)
	}
	if err := fields(a.stdout, rows...); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout)
	t := newTable(a.stdout, "PARTITION", "STATE", "POSITION", "MOVED", "EPOCH", "OWNER", "ATTEMPTS", "ERROR")
	for _, p := range s.Partitions {
		if err := t.row(p.Partition, p.State, count(p.Position), moment(p.MovedAt), p.Epoch, cmp.Or(p.Owner, "-"), p.Attempts, short(p.Error)); err != nil {
			return err
		}
	}
	return t.end()
}

func (a *app) resetSubscription() *cobra.Command {
	var position int64
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Go back, or forward, to a position; what was handled behind it is handled again", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			if err := notNegative("position", position); err != nil {
				return err
			}
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				if err := ad.Subscriptions().Reset(ctx, args[0], event.Position(position)); err != nil {
					return err
				}
				return a.done("subscription", args[0], fmt.Sprintf("reset: goes on behind position %d", position))
			})
		}),
	}
	cmd.Flags().Int64Var(&position, "position", 0, "the last position that counts as handled (0: none)")
	return cmd
}

// done says what became of a thing.
func (a *app) done(kind, name, what string) error {
	if a.json {
		return a.printJSON(map[string]string{"kind": kind, "name": name, "done": what})
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s: %s\n", kind, name, what)
	return err
}

// age writes how long something is ago, for people.
func age(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// moment is a point in time, or a dash for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return clock(t)
}
