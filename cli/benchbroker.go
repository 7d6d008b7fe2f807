package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/broker"
)

func (a *app) benchPublish() *cobra.Command {
	var o admin.BenchBroker
	cmd := &cobra.Command{
		Use: "publish", Short: "Measure confirmed publishing to a broker against the bare client", Args: cobra.NoArgs,
		RunE: a.benchBroker(&o, a.showPublish),
	}
	a.benchBrokerFlags(cmd, &o)
	cmd.Flags().IntVar(&o.Batch, "batch", 100, "messages in each call")
	cmd.Flags().IntVar(&o.Publishers, "in-flight", 4, "calls at the same time")
	return cmd
}

func (a *app) benchConsume() *cobra.Command {
	var o admin.BenchBroker
	cmd := &cobra.Command{
		Use: "consume", Short: "Measure consuming from a broker, each message acknowledged, against the bare client", Args: cobra.NoArgs,
		RunE: a.benchBroker(&o, a.showConsume),
	}
	a.benchBrokerFlags(cmd, &o)
	cmd.Flags().IntVar(&o.Prefetch, "in-flight", 1000, "messages that the consumer holds")
	cmd.Flags().IntVar(&o.Concurrency, "concurrency", 10, "messages that are handled at the same time")
	return cmd
}

func (a *app) benchBrokerFlags(cmd *cobra.Command, o *admin.BenchBroker) {
	a.brokerFlag(cmd)
	f := cmd.Flags()
	f.IntVar(&o.Messages, "messages", 20_000, "in each round; they are published and consumed again")
	f.IntVar(&o.PayloadBytes, "payload", 256, "bytes of each message's body")
	f.IntVar(&o.Keys, "keys", 1000, "different keys")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "of all rounds together; there are at least three")
}

// benchBroker makes the function of a command that measures a broker.
func (a *app) benchBroker(o *admin.BenchBroker, show func(o admin.BenchBroker, f admin.BrokerFigures, compared bool) error) func(*cobra.Command, []string) error {
	return a.action(func(ctx context.Context, _ []string) error {
		if err := o.Validate(); err != nil {
			return usagef("%v", err)
		}
		return a.withBroker(ctx, func(b *broker.Broker) (err error) {
			var baseline admin.BrokerBaseline
			if a.BrokerBaseline != nil {
				if baseline, err = a.BrokerBaseline(ctx, a.brokerURL); err != nil {
					return err
				}
			}
			if baseline != nil {
				defer func() { err = errors.Join(err, baseline.Close()) }()
			}
			bar := a.progress("bench broker", -1, false)
			o.Progress = bar.at
			figures, err := admin.MeasureBroker(ctx, b, baseline, *o)
			bar.end()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(figures)
			}
			return show(*o, figures, baseline != nil)
		})
	})
}

func (a *app) showPublish(o admin.BenchBroker, r admin.BrokerFigures, compared bool) error {
	fmt.Fprintf(a.stdout, "%d calls at the same time, %s each, %d bytes of body, %s\n", o.Publishers, plural(o.Batch, "message"), o.PayloadBytes, plural(o.Keys, "key"))
	rows := []any{
		"published", count(int64(r.Publish.MessagesPerSecond)) + " messages/s, confirmed",
		"latency of a call", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", r.P50, r.P99),
	}
	return a.showThroughput(rows, r.Publish, compared)
}

func (a *app) showConsume(o admin.BenchBroker, r admin.BrokerFigures, compared bool) error {
	fmt.Fprintf(a.stdout, "%s held, %d handled at the same time, %d bytes of body, %s\n",
		plural(o.Prefetch, "message"), o.Concurrency, o.PayloadBytes, plural(o.Keys, "key"))
	rows := []any{"consumed", count(int64(r.Consume.MessagesPerSecond)) + " messages/s, acknowledged"}
	return a.showThroughput(rows, r.Consume, compared)
}

func (a *app) showThroughput(rows []any, t admin.Throughput, compared bool) error {
	if compared {
		rows = append(rows, "raw client", fmt.Sprintf("%s messages/s: ours is %.2f times as fast", count(int64(t.RawMessagesPerSecond)), t.Ratio))
	}
	return fields(a.stdout, rows...)
}
