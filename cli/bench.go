package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
)

func (a *app) bench() *cobra.Command {
	return group("bench", "Measure a store or a broker against the bare client, in turns in one run",
		a.benchAppend(), a.benchRead(), a.benchSubscribe(), a.benchProject(), a.benchPublish(), a.benchConsume())
}

// measure opens the store and its baseline.
func (a *app) measure(ctx context.Context, do func(*admin.Admin, admin.Baseline) error) error {
	return a.with(ctx, toWrite, func(ad *admin.Admin) (err error) {
		var baseline admin.Baseline
		if a.Baseline != nil {
			if baseline, err = a.Baseline(ctx, a.storeURL); err != nil {
				return err
			}
		}
		if baseline != nil {
			defer func() { err = errors.Join(err, baseline.Close()) }()
		}
		return do(ad, baseline)
	})
}

func (a *app) benchAppend() *cobra.Command {
	var o admin.BenchAppend
	cmd := &cobra.Command{
		Use: "append", Short: "Measure appends with exact expected versions", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if err := o.Validate(); err != nil {
				return usagef("%v", err)
			}
			return a.measure(ctx, func(ad *admin.Admin, baseline admin.Baseline) error {
				bar := a.progress("bench append", -1, false)
				o.Progress = func(done, of int) { bar.at(int64(done), int64(of)) }
				figures, err := ad.BenchAppend(ctx, baseline, o)
				bar.end()
				if err != nil {
					return err
				}
				return a.showAppends(o, figures, baseline != nil)
			})
		}),
	}
	f := cmd.Flags()
	f.IntVar(&o.Writers, "writers", 64, "appending at the same time")
	f.IntVar(&o.EventsPerAppend, "events-per-append", 1, "events in each append")
	f.IntVar(&o.PayloadBytes, "payload", 256, "bytes of data of each event")
	f.DurationVar(&o.Duration, "duration", 5*time.Second, "of appending to the store; each baseline takes as long again")
	f.BoolVar(&o.Force, "force", false, "measure on a store that holds other events too")
	return cmd
}

func (a *app) showAppends(o admin.BenchAppend, r admin.AppendFigures, compared bool) error {
	if a.json {
		return a.printJSON(r)
	}
	fmt.Fprintf(a.stdout, "%d writers, %s each time, %d bytes of data\n", o.Writers, plural(o.EventsPerAppend, "event"), o.PayloadBytes)
	rows := []any{
		"appends", count(int64(r.EventsPerSecond)) + " events/s, " + count(int64(r.AppendsPerSecond)) + " appends/s",
		"latency", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", r.P50, r.P99),
	}
	if compared {
		rows = append(rows,
			"raw insert", fmt.Sprintf("%s events/s on %s: ours is %.2f times as fast",
				count(int64(r.RawInsertEventsPerSecond)), plural(r.RawPool, "connection"), r.RatioToInsert),
			"raw bulk", fmt.Sprintf("%s events/s: ours is %.2f times as fast", count(int64(r.RawBulkEventsPerSecond)), r.RatioToBulk))
	}
	return fields(a.stdout, rows...)
}

func (a *app) benchRead() *cobra.Command {
	var o admin.BenchRead
	cmd := &cobra.Command{
		Use: "read", Short: "Measure a replay of the whole log, after filling it", Args: cobra.NoArgs,
		RunE: benchLog(a, &o, func(ad *admin.Admin, ctx context.Context, baseline admin.Baseline) (admin.ReadFigures, error) {
			return ad.BenchRead(ctx, baseline, o)
		}, a.showReads),
	}
	benchReadFlags(cmd, &o)
	return cmd
}

func (a *app) showReads(r admin.ReadFigures, compared bool) error {
	if a.json {
		return a.printJSON(r)
	}
	rows := []any{
		"replay", count(int64(r.EventsPerSecond)) + " events/s",
		"events", count(r.Events),
		"peak heap", fmt.Sprintf("%.1f MB above what was there before", r.PeakHeapMB),
	}
	if compared {
		rows = append(rows, "raw read", fmt.Sprintf("%s events/s: ours is %.2f times as fast", count(int64(r.RawEventsPerSecond)), r.Ratio))
	}
	return fields(a.stdout, rows...)
}
