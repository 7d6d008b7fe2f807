// Package config makes a running engine of one YAML file, the environment, and a few lines of Go.
//
// [Load] reads the section "events" of application.yaml, over it that of application.<LEX_PROFILE>.yaml, over that the
// variables LEX_EVENTS__… with "__" between levels, and gives a [Config]; what a program sets in it afterwards counts
// most. Unknown keys, wrong types and values out of range are one error that names each place. [Open] makes an [App] of it:
//
//	cfg, err := config.Load(config.Source{})
//	app, err := config.Open(ctx, cfg, config.Options{Stores: drivers.All(), Brokers: drivers.Brokers()})
//	defer app.Close()
//	err = command.Handle(app.Commands(), place)
//	err = app.Run(ctx)
//
// All keys are listed in docs/configuration.md, which is made of the fields of Config.
//
// The package knows no driver: it turns settings into the URLs that drivers understand. Loading is koanf's work, the
// places of keys are goccy/go-yaml's.
package config
