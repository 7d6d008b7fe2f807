// Package eventsfx puts an engine into a program that is put together by uber-go/fx.
//
// [Module] provides the engine and its parts, and runs it between fx's start and stop. Features bring what the engine is to
// do, each as a constructor with whatever it needs: [Handlers], [Projections], [Sagas] and [Runners]. So a feature is an
// fx.Module of its own, and the program is their list:
//
//	fx.New(
//		eventsfx.Module(cfg),
//		fx.Supply(config.Options{Stores: drivers.All(), Brokers: drivers.Brokers()}),
//		orders.Feature,
//		billing.Feature,
//	).Run()
//
// The engine works the same without fx: all that is done here is config.Open, the registration, and Run.
package eventsfx
