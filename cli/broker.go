package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"lexigram.dev/events/broker"
)

// brokerVariable names the broker where --broker does not.
const brokerVariable = "LEX_EVENTS_BROKER"

// withBroker opens the broker, lets do work with it and closes it.
func (a *app) withBroker(ctx context.Context, do func(*broker.Broker) error) (err error) {
	if a.brokerURL == "" {
		var err error
		if a.brokerURL, err = a.brokerOf(); err != nil {
			return err
		}
	}
	if a.brokerURL == "" {
		return usagef("no broker: give --broker URL or set %s, or --config FILE, for example: --broker nats://127.0.0.1:4222", brokerVariable)
	}
	if !a.knowsBroker() {
		_, err := broker.OpenURL(ctx, a.brokerURL, a.Brokers)
		return usagef("%v", err)
	}
	backend, err := broker.OpenURL(ctx, a.brokerURL, a.Brokers)
	if err != nil {
		return err
	}
	b := broker.New(backend, broker.Options{})
	defer func() { err = errors.Join(err, b.Close()) }()
	return do(b)
}

// knowsBroker reports whether the URL is of a linked broker.
func (a *app) knowsBroker() bool {
	for _, d := range a.Brokers {
		for _, scheme := range d.Schemes {
			if strings.HasPrefix(a.brokerURL, scheme+":") {
				return true
			}
		}
	}
	return false
}

func (a *app) brokerFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.brokerURL, "broker", a.brokerURL, "URL of the broker")
	cmd.Flags().Lookup("broker").DefValue = "$" + brokerVariable
}

func (a *app) brokers() *cobra.Command {
	cmd := &cobra.Command{
		Use: "brokers", Short: "What the broker is and promises; without --broker, which brokers there are", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if a.brokerURL == "" {
				return a.listBrokers()
			}
			return a.withBroker(ctx, func(b *broker.Broker) error {
				d, err := b.Describe(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(d)
				}
				return a.showBroker(d, b.Limits())
			})
		}),
	}
	a.brokerFlag(cmd)
	return cmd
}

// linkedBroker is a broker that this program can speak to.
type linkedBroker struct {
	Broker  string   `json:"broker"`
	Schemes []string `json:"schemes"`
	Example string   `json:"example"`
}

func (a *app) listBrokers() error {
	if !a.json {
		t := newTable(a.stdout, "BROKER", "SCHEMES", "EXAMPLE")
		for _, d := range a.Brokers {
			if err := t.row(d.Name, strings.Join(d.Schemes, ", "), d.Example); err != nil {
				return err
			}
		}
		return t.end()
	}
	for _, d := range a.Brokers {
		if err := a.printJSON(linkedBroker{d.Name, d.Schemes, d.Example}); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) showBroker(d broker.Description, limits broker.Limits) error {
	yes := func(is bool, what, otherwise string) string {
		if is {
			return what
		}
		return otherwise
	}
	f := d.Features
	return fields(a.stdout,
		"broker", d.Broker+" "+d.Version,
		"location", d.Location,
		"durability", d.Durability,
		"order", yes(f.Ordered, "messages of a key one after the other, at one member", "none across members"),
		"deliveries", yes(f.DeliveryCount, "counted by the broker", "not counted by the broker"),
		"redelivery", yes(f.DelayedRedelivery, "in the consumer, or delayed by the broker", "in the consumer"),
		"replay", yes(f.Replay, "new groups can begin with the oldest messages", "none"),
		"message size", "at most "+count(limits.MaxMessageBytes)+" bytes")
}
