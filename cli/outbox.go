package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
)

func (a *app) outbox() *cobra.Command {
	return &cobra.Command{
		Use: "outbox", Short: "List the relays that publish the log to a broker, with their backlog", Args: cobra.NoArgs,
		Long: "outbox lists the relays that publish the log to a broker: how far each is, how many events wait, and since when.\n" +
			"A relay is steered as the subscription outbox-NAME; what it could not publish is in `deadletters list --source outbox/NAME`.",
		RunE: a.action(func(ctx context.Context, _ []string) error {
			return a.with(ctx, toRead, func(ad *admin.Admin) error { return a.listRelays(ctx, ad) })
		}),
	}
}

func (a *app) listRelays(ctx context.Context, ad *admin.Admin) error {
	t := newTable(a.stdout, "RELAY", "STATE", "PUBLISHED UP TO", "BACKLOG", "SINCE", "DEAD LETTERS", "ERROR")
	n := 0
	for r, err := range ad.Relays(ctx) {
		if err != nil {
			return err
		}
		n++
		if a.json {
			err = a.printJSON(r)
		} else {
			err = t.row(r.Name, r.Feed.State, count(r.Feed.Position), plural(r.Feed.Lag, "event"), age(r.Feed.LagTime), r.DeadLetters, short(r.Feed.Error))
		}
		if err != nil {
			return err
		}
	}
	switch {
	case a.json:
		return nil
	case n == 0:
		_, err := fmt.Fprintln(a.stdout, "no relay has ever run on this store")
		return err
	}
	return t.end()
}
