// Command lexevents looks into, fills, checks and measures stores of events.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"lexigram.dev/events/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
