// Service is an example of a service that is put together by uber-go/fx and set up by a file: a library that lends books,
// over HTTP.
package main

import (
	"flag"
	"fmt"
	"os"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"lexigram.dev/events/config"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/eventsfx"
)

func main() {
	at := flag.String("listen", "127.0.0.1:8080", "where to listen")
	file := flag.String("config", "examples/service/application.yaml", "the configuration")
	flag.Parse()
	cfg, err := config.Load(config.Source{Path: *file})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "library: http://%s (Ctrl-C stops it)\n", *at)
	fx.New(service(cfg, *at), fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger })).Run()
}

// service is the whole program.
func service(cfg *config.Config, at string) fx.Option {
	return fx.Options(
		eventsfx.Module(cfg),
		fx.Supply(config.Options{Stores: drivers.All(), Brokers: drivers.Brokers()}, address(at)),
		loansFeature(),
		fx.Provide(newHandler, listen),
		fx.Invoke(func(*listener) {}),
	)
}
