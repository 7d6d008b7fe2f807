package main

import (
	"context"
	"io"

	"lexigram.dev/events/cli"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/schema"
)

// operate runs a command line of lexevents that knows the shop's own event types: verify decodes each event, and schema
// guards their shapes.
func operate(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	registry := schema.NewRegistry()
	if err := registerEvents(registry); err != nil {
		panic(err) // the shop does not start either
	}
	commands := cli.New(cli.Options{Drivers: drivers.All(), Baseline: drivers.OpenBaseline, Brokers: drivers.Brokers(), BrokerBaseline: drivers.OpenBrokerBaseline, Registry: registry})
	return commands.Run(ctx, args, stdin, stdout, stderr)
}
