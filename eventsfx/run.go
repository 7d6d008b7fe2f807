package eventsfx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.uber.org/fx"

	"lexigram.dev/events"
	"lexigram.dev/events/config"
	"lexigram.dev/events/projection"
)

// exitFailed is the exit code of a program whose engine has failed.
const exitFailed = 1

// partsIn is what the features bring.
type partsIn struct {
	fx.In
	App         *config.App
	Sagas       sagas                    // made, so that they run
	Handlers    []Handler                `group:"events.handlers"`
	Projections []*projection.Projection `group:"events.projections"`
	Runners     []events.Runner          `group:"events.runners"`
}

func (in partsIn) register() error {
	faults := []error{in.App.AddProjections(in.Projections...), in.App.AddRunners(in.Runners...)}
	for _, register := range in.Handlers {
		faults = append(faults, register(in.App))
	}
	return errors.Join(faults...)
}

// run registers everything, and runs the engine from fx's start to its stop.
func run(lc fx.Lifecycle, program fx.Shutdowner, in partsIn) error {
	if err := in.register(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	lc.Append(fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				err := in.App.Run(ctx)
				if err != nil {
					in.App.Logger().Error("the engine has failed", slog.Any("error", err))
					err = errors.Join(err, program.Shutdown(fx.ExitCode(exitFailed)))
				}
				ended <- err
			}()
			return nil
		},
		OnStop: func(patience context.Context) error {
			stop()
			select {
			case err := <-ended:
				return err
			case <-patience.Done():
				return fmt.Errorf("stop the engine: what is being handled takes longer than fx waits (fx.StopTimeout): %w", patience.Err())
			}
		},
	})
	return nil
}
