// Command orders is a small shop as an event-sourced service: commands over HTTP, orders as aggregates, read models that
// follow the log, an outbox that publishes the events, and handlers that react to them. README.md walks through it.
//
// It must not know a backend: it opens the one that the store URL names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `orders is a small shop as an event-sourced service.

Usage:
  orders [serve] [--addr HOST:PORT] [--store URL]     serve the shop and its page
  orders load [--url URL] [--orders N] [--clients N]  place, pay, ship and cancel N orders over HTTP, and check the outcome
  orders fulfil [--suppliers KIND] [--orders N] [--store URL]
                                                      place N orders and fulfil each by a saga, and print the timelines
  orders lexevents ...                                the commands of lexevents, which know the shop's events: see
                                                      orders lexevents --help; CI runs orders lexevents schema check

  --addr HOST:PORT  where to listen. Default: 127.0.0.1:8080
  --store URL       where the events are kept. Default: sqlite:.demo/orders.db
  --url URL         the shop to load. Default: http://127.0.0.1:8080
  --orders N        how many orders. Default: 3000; for fulfil 3
  --clients N       how many clients at the same time. Default: 32
  --suppliers KIND  steady, failing (they decline, or are away), slow (they answer too late). Default: steady

Exit codes: 0 done, 1 failed, 2 wrong usage.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	verb := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	if verb == "lexevents" {
		return operate(ctx, args, os.Stdin, stdout, stderr)
	}
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var (
		server serverSettings
		load   loadSettings
		fulfil fulfilSettings
		do     func() error
	)
	log := slog.New(slog.NewTextHandler(stderr, nil))
	switch verb {
	case "serve":
		flags.StringVar(&server.addr, "addr", "127.0.0.1:8080", "")
		flags.StringVar(&server.store, "store", "sqlite:.demo/orders.db", "")
		do = func() error { return serve(ctx, server, log) }
	case "load":
		flags.StringVar(&load.url, "url", "http://127.0.0.1:8080", "")
		flags.IntVar(&load.orders, "orders", 3000, "")
		flags.IntVar(&load.clients, "clients", 32, "")
		do = func() error { return load.run(ctx, stdout) }
	case "fulfil":
		flags.StringVar(&fulfil.store, "store", "sqlite:.demo/orders.db", "")
		flags.StringVar(&fulfil.suppliers, "suppliers", "steady", "")
		flags.IntVar(&fulfil.orders, "orders", 3, "")
		do = func() error { return fulfil.run(ctx, stdout) }
	default:
		fmt.Fprintf(stderr, "orders: unknown command %q (--help lists them)\n", verb)
		return 2
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
		fallthrough
	case err != nil:
		fmt.Fprintf(stderr, "orders: %v (--help lists the flags)\n", err)
		return 2
	case verb == "load" && (load.orders < 1 || load.clients < 1):
		fmt.Fprintln(stderr, "orders: --orders and --clients must be at least 1")
		return 2
	case verb == "fulfil" && (fulfil.orders < 1 || kinds()[fulfil.suppliers] == nil || strings.HasPrefix(fulfil.store, "memory:")):
		fmt.Fprintf(stderr, "orders: --orders must be at least 1, --suppliers one of %s, and --store one that lasts\n", kindNames())
		return 2
	}
	if err := do(); err != nil {
		fmt.Fprintln(stderr, "orders:", err)
		return 1
	}
	return 0
}
