package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
)

func (a *app) sagas() *cobra.Command {
	return group("sagas", "List, show and steer sagas, whichever programs run them",
		a.listSagas(), a.showSaga(),
		a.steerSaga("retry", "Try again what has failed for good", "is tried again",
			func(c *saga.Control, ctx context.Context, name, id, by, _ string) error {
				return c.Retry(ctx, name, id, by)
			}),
		a.steerSaga("compensate", "Give it up, and undo what is done", "is being compensated", (*saga.Control).Compensate),
		a.steerSaga("cancel", "End it as it is; nothing is undone", "cancelled", (*saga.Control).Cancel),
		a.steerSaga("suspend", "Begin nothing more until resume", "suspended", (*saga.Control).Suspend),
		a.steerSaga("resume", "End a suspension", "resumed",
			func(c *saga.Control, ctx context.Context, name, id, by, _ string) error {
				return c.Resume(ctx, name, id, by)
			}),
		a.signalSaga(),
	)
}

func (a *app) listSagas() *cobra.Command {
	var (
		f     saga.Filter
		older time.Duration
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List instances, the oldest of each saga first", Args: cobra.NoArgs,
		Long: "List instances, the oldest of each saga first.\n\nThe list is kept by the programs that run the sagas: where none runs, it stays as it was. " +
			"What show says is always up to date.",
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if err := notNegative("limit", f.Limit); err != nil {
				return err
			}
			if older > 0 {
				f.StartedBefore = time.Now().Add(-older)
			}
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				return show(a, ad.Sagas().List(ctx, f), "no sagas",
					[]string{"SAGA", "ID", "VERSION", "STATUS", "STARTED", "CHANGED", "NEXT", "REASON"},
					func(i saga.Instance) []any {
						return []any{i.Saga, short(i.ID), i.Version, i.Status, moment(i.StartedAt), moment(i.ChangedAt), next(&i), short(i.Error)}
					})
			})
		}),
	}
	cmd.Flags().StringVar(&f.Saga, "saga", "", "only of this saga")
	cmd.Flags().StringVar((*string)(&f.Status), "status", "", "only in this status, such as waiting, failed or compensation_failed")
	cmd.Flags().StringVar(&f.Correlation, "correlation", "", "only of this correlation; needs --saga")
	cmd.Flags().DurationVar(&older, "older", 0, "only those that were started longer ago, such as 24h")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "at most so many (0: all)")
	return cmd
}

func (a *app) showSaga() *cobra.Command {
	return &cobra.Command{
		Use: "show SAGA ID", Short: "Show one instance and its history as a timeline", Args: cobra.ExactArgs(2),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				d, err := ad.Sagas().Get(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(d)
				}
				return a.drawSaga(&d)
			})
		}),
	}
}

// drawSaga prints an instance and its timeline.
func (a *app) drawSaga(d *saga.Detail) error {
	rows := []any{
		"saga", fmt.Sprintf("%s, version %d", d.Saga, d.Version), "id", printable(d.ID), "status", d.Status,
	}
	if d.Correlation != "" {
		rows = append(rows, "correlation", printable(d.Correlation))
	}
	rows = append(rows, "started", moment(d.StartedAt))
	if d.Status.Ended() {
		rows = append(rows, "ended", moment(d.ChangedAt))
	}
	if !d.Due.IsZero() {
		rows = append(rows, "next", next(&d.Instance))
	}
	rows = append(rows, "data", printable(string(d.Data)))
	if d.Error != "" {
		rows = append(rows, "reason", short(d.Error))
	}
	for _, t := range d.Timers {
		rows = append(rows, "timer", fmt.Sprintf("%s at %s", printable(t.Name), moment(t.Due)))
	}
	for _, signal := range d.Awaits {
		rows = append(rows, "awaits", printable(signal))
	}
	if err := fields(a.stdout, rows...); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout)
	for i := range d.History {
		if _, err := fmt.Fprintln(a.stdout, timeline(&d.History[i], d.StartedAt, i == len(d.History)-1)); err != nil {
			return err
		}
	}
	return nil
}

// next tells when something happens to an instance by itself.
func next(i *saga.Instance) string {
	if i.Status.Ended() && !i.Due.IsZero() {
		return "removed at " + clock(i.Due)
	}
	return moment(i.Due)
}

// timeline draws one moment.
func timeline(m *saga.Moment, start time.Time, last bool) string {
	mark, rail := "●", "├"
	switch {
	case strings.HasSuffix(m.What, "failed"):
		mark = "✗"
	case strings.HasSuffix(m.What, "succeeded"), strings.HasSuffix(m.What, "confirmed"), m.What == "completed":
		mark = "✓"
	case strings.HasPrefix(m.What, "compensat"):
		mark = "↶"
	}
	if last {
		rail = "└"
	}
	line := fmt.Sprintf("%10s %s─%s %s", "+"+since(m.At.Sub(start)), rail, mark, strings.ReplaceAll(m.What, "_", " "))
	if m.Step != "" {
		line += " " + printable(m.Step)
	}
	if m.Group != "" {
		line += " (of " + printable(m.Group) + ")"
	}
	if m.Attempt > 1 {
		line += fmt.Sprintf(", attempt %d", m.Attempt)
	}
	switch rest, said := strings.CutPrefix(m.Error, m.What); {
	case m.Error == "":
	case said:
		line += short(rest)
	default:
		line += ": " + short(m.Error)
	}
	if !m.RetryAt.IsZero() {
		line += ", again in " + since(m.RetryAt.Sub(m.At))
	}
	return line
}

// since rounds a time to what matters: the longer it is, the less do its smaller parts.
func since(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	case d < 24*time.Hour:
		return d.Round(time.Second).String()
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dd%dh%dm", d/(24*time.Hour), d%(24*time.Hour)/time.Hour, d%time.Hour/time.Minute)
}

func (a *app) steerSaga(use, text, done string, do func(c *saga.Control, ctx context.Context, name, id, by, reason string) error) *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use: use + " SAGA ID", Short: text, Args: cobra.ExactArgs(2),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				if err := do(ad.Sagas(), ctx, args[0], args[1], cmp.Or(by, whoAmI()), reason); err != nil {
					return err
				}
				return a.done("saga", args[0]+"/"+args[1], done)
			})
		}),
	}
	cmd.Flags().StringVar(&by, "by", "", "who does it, for the history (default: the user)")
	if use != "retry" && use != "resume" {
		cmd.Flags().StringVar(&reason, "reason", "", "why, for the history")
	}
	return cmd
}

func whoAmI() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (a *app) signalSaga() *cobra.Command {
	var data, key string
	cmd := &cobra.Command{
		Use: "signal SAGA ID SIGNAL", Short: "Hand a signal to an instance", Args: cobra.ExactArgs(3),
		RunE: a.action(func(ctx context.Context, args []string) error {
			if !json.Valid([]byte(data)) {
				return usagef("--data: must be JSON")
			}
			var id event.ID
			if key != "" {
				id = event.DerivedID(event.ID{}, key)
			}
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				if err := ad.Sagas().Signal(ctx, args[0], args[1], args[2], json.RawMessage(data), id); err != nil {
					return err
				}
				return a.done("saga", args[0]+"/"+args[1], "has got the signal "+args[2])
			})
		}),
	}
	cmd.Flags().StringVar(&data, "data", "null", "its data, as JSON")
	cmd.Flags().StringVar(&key, "key", "", "makes it the same signal when it is sent again")
	return cmd
}
