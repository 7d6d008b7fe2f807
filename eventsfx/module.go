package eventsfx

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"lexigram.dev/events"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/config"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/query"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// openTimeout bounds the opening of store and broker, which happens when fx constructs the engine.
const openTimeout = time.Minute

// Module provides an engine as a configuration says: *config.App, *events.Engine, *store.Store, *schema.Registry,
// *command.Bus, *query.Bus, *eventbus.Bus, *broker.Broker, *deadletter.Letters, and, where features bring sagas, *saga.Set.
// It runs from fx's start to its stop, which waits until what is being handled is done; then store and broker are closed.
// When a part of it fails, the program is shut down with exit code 1.
//
// Without a configuration all is in memory. A config.Options in the container, if there is one, brings the drivers and
// whatever else no file can say. More than one configuration is an error.
func Module(c ...*config.Config) fx.Option {
	switch len(c) {
	case 0:
		return module(config.Default(), nil)
	case 1:
		return module(c[0], nil)
	default:
		return fx.Error(errors.New("eventsfx.Module: one configuration at most"))
	}
}

// Stub provides an engine in memory that logs nothing, for tests.
func Stub() fx.Option { return module(config.Default(), slog.New(slog.DiscardHandler)) }

// module makes the module; the logger is for who brings none, nil: that of the configuration.
func module(c *config.Config, logger *slog.Logger) fx.Option {
	return fx.Module("events",
		fx.Provide(
			func(lc fx.Lifecycle, in optionsIn) (*config.App, error) {
				if in.Options.Logger == nil {
					in.Options.Logger = logger
				}
				return open(lc, c, in.Options)
			},
			func(a *config.App) *events.Engine { return a.Engine },
			func(a *config.App) *store.Store { return a.Store() },
			func(a *config.App) *schema.Registry { return a.Schema() },
			func(a *config.App) *command.Bus { return a.Commands() },
			func(a *config.App) *query.Bus { return a.Queries() },
			func(a *config.App) *eventbus.Bus { return a.Bus() },
			func(a *config.App) *broker.Broker { return a.Broker() },
			func(a *config.App) *deadletter.Letters { return a.DeadLetters() },
			newSagas, sagaSet,
		),
		fx.Invoke(run),
	)
}

// optionsIn are the program's options, where it supplies some.
type optionsIn struct {
	fx.In
	Options config.Options `optional:"true"`
}

func open(lc fx.Lifecycle, c *config.Config, o config.Options) (*config.App, error) {
	ctx, stop := context.WithTimeout(context.Background(), openTimeout)
	defer stop()
	app, err := config.Open(ctx, c, o)
	if err == nil {
		lc.Append(fx.StopHook(app.Close))
	}
	return app, err
}
