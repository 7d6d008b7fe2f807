// Command lexevents looks into, fills, checks and measures stores of events.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"lexigram.dev/events/cli"
	"lexigram.dev/events/drivers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	commands := cli.New(cli.Options{
		Drivers: drivers.All(), Baseline: drivers.OpenBaseline, Brokers: drivers.Brokers(), BrokerBaseline: drivers.OpenBrokerBaseline,
	})
	os.Exit(commands.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
